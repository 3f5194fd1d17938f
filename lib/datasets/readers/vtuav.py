"""VTUAV (Zhang et al., CVPR 2022): visible and infrared video from drones, annotated in every 10th frame.

test_ST_001/<seq>/rgb/000000.jpg  ir/000000.jpg  rgb.txt  ir.txt     x y w h, row k belongs to image 10 k

Rows count the images from the first one: in some sequences the first file's number is not 0.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import InputError
from ..annotation import read_boxes, read_lines
from ..collection import read_each, refuse
from ..layout import list_images, pick, read_started_boxes
from ..matching import match_frames
from ..sequence import INFRARED, VISIBLE, FileFrames, Sequence

log = logging.getLogger(__name__)

STEP = 10  # frames from one annotated frame to the next
SPLITS = Path(__file__).parents[1] / "splits"
INFRARED_FOLDERS = ("ir", "ir_gray")


def read_short_term(folder: str | Path) -> list[Sequence]:
    """The 176 short-term test sequences. Raises InputError for what is missing or malformed."""
    return _read_listed(Path(folder), "test_ST")


def read_long_term(folder: str | Path) -> list[Sequence]:
    """The 74 long-term test sequences. Raises InputError for what is missing or malformed."""
    return _read_listed(Path(folder), "test_LT")


def read_short_term_training(folder: str | Path) -> list[Sequence]:
    """The short-term training sequences that are there. Raises InputError for what is malformed."""
    return _read_parts(Path(folder), "train_ST")


def read_long_term_training(folder: str | Path) -> list[Sequence]:
    """The long-term training sequences that are there. Raises InputError for what is malformed."""
    return _read_parts(Path(folder), "train_LT")


def read_sparse_boxes(folder: Path) -> dict[str, Any]:
    """The annotation of one sequence: `boxes`, `boxes_infrared` and the frames that they belong to, `annotated`."""
    boxes, infrared = read_started_boxes(folder / "rgb.txt"), read_boxes(folder / "ir.txt")
    if abs(len(boxes) - len(infrared)) > 1:
        raise InputError(f"{folder}: {len(boxes)} rows in rgb.txt, {len(infrared)} in ir.txt; the two must agree")
    rows = min(len(boxes), len(infrared))
    return {"boxes": boxes[:rows], "boxes_infrared": infrared[:rows], "annotated": np.arange(rows) * STEP}


def _read_listed(root: Path, part: str) -> list[Sequence]:
    folders = {path.name: path for path in _folders(root, part)}
    wanted = [line.split("/")[-1] for line in read_lines(SPLITS / f"vtuav_{part.lower()}.txt")]
    missing = [sequence for sequence in wanted if sequence not in folders]
    refuse(
        (f"{root}: sequence {name} of VTUAV's test set is missing" for name in missing),
        f"{root}: {len(missing)} of {len(wanted)} sequences of VTUAV's test set are missing: {next(iter(missing), '')}"
        ", …; complete the download, or set vtuav_dir in local.py",
    )
    return read_each(_read_sequence, [folders[sequence] for sequence in wanted if sequence in folders])


def _read_parts(root: Path, part: str) -> list[Sequence]:
    folders = _folders(root, part)
    if not folders:
        raise InputError(
            f"{root}: no sequences here; expected {part}_001/<sequence>/rgb.txt; set vtuav_dir in local.py"
        )
    return read_each(_read_sequence, folders)


def _folders(root: Path, part: str) -> list[Path]:
    """Sequences of the download's parts of one kind (`test_ST_001`, …), which may lie in further folders."""
    found = {path.parent for level in ("*/*", "*/*/*", "*/*/*/*") for path in root.glob(f"{level}/rgb.txt")}
    return sorted(path for path in found if any(parent.name.startswith(part) for parent in path.parents))


def _read_sequence(folder: Path) -> Sequence:
    infrared = next((folder / name for name in INFRARED_FOLDERS if (folder / name).is_dir()), folder / "ir")
    paths = {VISIBLE: list_images(folder / "rgb"), INFRARED: list_images(infrared)}
    match = match_frames(folder.name, paths, {})
    if match.line:
        log.warning("%s: %s", folder.name, match.line)
    known = read_sparse_boxes(folder)
    length = match.frames[-1] + 1
    expected = -(-length // STEP)
    if abs(len(known["boxes"]) - expected) > 1:
        raise InputError(
            f"{folder}: {len(known['boxes'])} rows for {length} frames; expected {expected}, for every {STEP}th frame"
        )
    inside = np.isin(known["annotated"], match.frames)
    if not inside[0]:
        raise InputError(f"{folder}: {match.line}; the first box belongs to an image that is missing; add it")
    known = {key: rows[inside] for key, rows in known.items()}
    known["annotated"] = np.searchsorted(match.frames, known["annotated"])
    frames = FileFrames(tuple(pick(images, match.places[key]) for key, images in paths.items()), tuple(paths))
    return Sequence(folder.name, frames, **known)
