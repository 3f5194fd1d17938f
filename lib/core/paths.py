"""The paths of this machine, in `lib/train/admin/local.py` and `lib/test/evaluation/local.py` of a checkout.

For an installed package the two files are `local_train.py` and `local_test.py` in `~/.config/rgbt_toolbox`
(`$XDG_CONFIG_HOME`). `$RGBT_HOME` names another folder for them, also in a checkout. They are plain Python files of
`name = "path"` lines. `rgbt init` makes them; after that they belong to the user and are never overwritten.
"""

import ast
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from .atomic import write_atomically
from .errors import InputError
from .registry import choose

PACKAGE = Path(__file__).resolve().parents[1]
#: The folder of `experiments`, `pretrained_models` and `docs`: the checkout, or the installed package itself.
ROOT = PACKAGE if (PACKAGE / "experiments").is_dir() else PACKAGE.parent
IS_CHECKOUT = ROOT != PACKAGE

#: Data sets: key -> (folder under --data_dir, description)
_DATA = {
    "lasher_dir": ("lasher", "LasHeR: trainingset/, testingset/"),
    "lasher_unaligned_dir": ("lasher_unaligned", "LasHeR, unaligned release: trainingset/, testingset/"),
    "rgbt234_dir": ("rgbt234", "RGBT234: <sequence>/{visible,infrared}/"),
    "rgbt210_dir": ("rgbt210", "RGBT210: <sequence>/{visible,infrared}/"),
    "gtot_dir": ("gtot", "GTOT: <sequence>/{v,i}/"),
    "vtuav_dir": ("vtuav", "VTUAV: test_ST_001/ and the other parts"),
    "vot19rgbt_dir": ("vot19rgbt", "VOT-RGBT2019: <sequence>/{color,ir}/"),
    "vot20rgbt_dir": ("vot20rgbt", "VOT-RGBT2020: <sequence>/{color,ir}/"),
    "vot18_dir": ("vot18", "VOT2018: <sequence>/color/, or images beside groundtruth.txt"),
    "votlt18_dir": ("votlt18", "VOT-LT2018: the same"),
    "votlt19_dir": ("votlt19", "VOT-LT2019: the same"),
    "got10k_dir": ("got10k", "GOT-10k: train/, val/, test/"),
    "lasot_dir": ("lasot", "LaSOT: <class>/<class>-<n>/"),
    "lasot_extension_subset_dir": ("lasot_extension_subset", "LaSOT extension: <class>/<class>-<n>/"),
    "trackingnet_dir": ("trackingnet", "TrackingNet: TRAIN_0/ to TRAIN_11/, TEST/"),
    "otb_dir": ("otb", "OTB100: <sequence>/img/"),
    "uav_dir": ("uav", "UAV123 and UAV20L: data_seq/, anno/"),
    "nfs_dir": ("nfs", "Need for Speed, 30 frames/s: sequences/, anno/"),
    "tc128_dir": ("tc128", "TColor-128: <sequence>/img/, <sequence>/<sequence>_gt.txt"),
    "tnl2k_dir": ("tnl2k", "TNL2K: <sequence>/imgs/"),
    "coco_dir": ("coco", "COCO 2017: images/train2017/, annotations/"),
    "imagenet_dir": ("imagenet", "ImageNet VID and DET: Data/VID/train/, Annotations/VID/train/, …/DET/train/"),
    "youtubebb_dir": ("youtubebb", "YouTube-BoundingBoxes: yt_bb_detection_train.csv, train/<class>/"),
    "youtubevos_dir": ("youtubevos", "YouTube-VOS: train/{JPEGImages,Annotations}/<video>/, train/meta.json"),
    "saliency_dir": ("saliency", "sets of salient objects, merged: images/<name>.jpg, gt/<name>.png"),
    "crop511_dir": (
        "crop511",
        "crops made by prepare_crops.py (rgbt crops): vid/, coco/, lasot/, gtot/, lasher/ and others",
    ),
    "videos_dir": ("videos", "your own sequences, each in LasHeR, RGBT234, LaSOT, OTB or GOT-10k layout"),
    "packed_dir": ("", "data sets packed by pack_dataset.py (rgbt pack); empty: none"),
    "photos_dir": ("", "photographs and cut-outs for synthetic sequences; empty: procedural textures"),
}

#: Other paths: key -> (folder under --save_dir or the workspace, description)
_FOLDERS = {
    "train": {
        "save_dir": ("{save}", "checkpoints and logs, when train.py is given no --save_dir"),
        "pretrained_dir": ("{workspace}/pretrained_models", "weights that training starts from"),
    },
    "test": {
        "save_dir": ("{save}", "where test.py looks for checkpoints"),
        "results_dir": ("{save}/test/tracking_results", "boxes that test.py writes"),
    },
}


_LARGEST = 1 << 16  # characters of a local.py that are read; the parser of Python is no place for more
#: Among the paths of `read_local`: the file that they are from. Messages name it.
SOURCE = "source"


def local_files(environment: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """The paths of the local.py files of "train" and "test"."""
    home = environment.get("RGBT_HOME", "")
    if IS_CHECKOUT and not home:
        return {
            "train": PACKAGE / "train" / "admin" / "local.py",
            "test": PACKAGE / "test" / "evaluation" / "local.py",
        }
    config = environment.get("XDG_CONFIG_HOME") or "~/.config"
    folder = Path(home or Path(config, "rgbt_toolbox")).expanduser()
    return {kind: folder / f"local_{kind}.py" for kind in ("train", "test")}


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where files are kept that can be made again: `$RGBT_CACHE`, else `rgbt_tracking` in `$XDG_CACHE_HOME` or
    `~/.cache`. Raises RuntimeError for a user without a home."""
    own, general = environment.get("RGBT_CACHE", ""), environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own or Path(general, "rgbt_tracking")).expanduser()


FILES = local_files()


def typed_command(name: str, script: str) -> str:
    """A command as this user types it: `rgbt <name>`, or `python tracking/<script>.py` in a checkout."""
    by_name = not IS_CHECKOUT or Path(sys.argv[0]).stem == "rgbt"
    return f"rgbt {name}" if by_name else f"python tracking/{script}.py"


def create_local_file(kind: str, *, workspace_dir: Path, data_dir: Path, save_dir: Path) -> Path | None:
    """Write `local.py` of "train" or "test" with default paths; returns None where the file exists (it is kept)."""
    path = FILES[kind]
    if path.exists():
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {"workspace_dir": (str(workspace_dir), "this toolbox")}
    for key, (pattern, meaning) in _FOLDERS[kind].items():
        values[key] = (pattern.format(save=save_dir, workspace=workspace_dir), meaning)
    for key, (folder, meaning) in _DATA.items():
        values[key] = (str(data_dir / folder) if folder else "", meaning)
    lines = [f"{key} = {value!r}  # {meaning}" for key, (value, meaning) in values.items()]
    header = '"""Paths of this machine. Edit freely: this file is yours, nothing overwrites it."""\n\n'
    with write_atomically(path) as temporary:
        temporary.write_text(header + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def read_local(kind: str) -> dict[str, str]:
    """The paths of "train" or "test" by key, and the file's own under SOURCE; a missing key is an empty text.

    The file is read as data; its code does not run. Raises InputError with file, line and remedy.
    """
    path = FILES[kind]
    if not path.is_file():
        raise InputError(
            f"{path}: does not exist; make it with: {typed_command('init', 'create_default_local_file')} "
            "--workspace_dir . --data_dir ../ --save_dir ./output"
        )
    known = ["workspace_dir", *_FOLDERS[kind], *_DATA]
    values = dict.fromkeys(known, "")
    try:
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read(_LARGEST))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # ValueError: not UTF-8, or null bytes
        line = getattr(error, "lineno", 1)
        raise InputError(
            f"{path}: line {line} is not Python; write key = 'path', or delete the file and make it anew"
        ) from None
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        key, value = _read_assignment(path, statement)
        try:
            values[choose(f"{path}: line {statement.lineno}: key", key, known)] = value
        except InputError as error:
            raise InputError(f"{error}; correct or remove the line") from None
    return values | {SOURCE: str(path)}


def _read_assignment(path: Path, statement: ast.stmt) -> tuple[str, str]:
    if (
        isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    ):
        return statement.targets[0].id, statement.value.value
    raise InputError(f"{path}: line {statement.lineno}: expected key = 'path' with a text in quotes; correct the line")
