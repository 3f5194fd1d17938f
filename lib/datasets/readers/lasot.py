"""LaSOT (Fan et al., CVPR 2019) and its extension (IJCV 2021): long visible videos, 70 + 15 classes.

<class>/<class>-<n>/img/00000001.jpg  groundtruth.txt  full_occlusion.txt  out_of_view.txt     x,y,w,h; flags in a line
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..annotation import read_boxes, read_flags, read_lines
from ..collection import read_each, refuse
from ..layout import check_start, make_sequence, number_images
from ..sequence import VISIBLE, Sequence

TEST_LIST = Path(__file__).parents[1] / "splits" / "lasot_test.txt"
PER_CLASS = 20
EXTENSION_CLASSES = (
    *("atv", "badminton", "cosplay", "dancingshoe", "footbag", "frisbee", "jianzi", "lantern"),
    *("misc", "opossum", "paddle", "raccoon", "rhino", "skatingshoe", "wingsuit"),
)
EXTENSION_PER_CLASS = 10
FLAGS = ("full_occlusion.txt", "out_of_view.txt")


def read_training(folder: str | Path) -> list[Sequence]:
    """The 1120 training sequences. Raises InputError for what is missing or malformed."""
    testing = read_lines(TEST_LIST)
    classes = dict.fromkeys(name.rpartition("-")[0] for name in testing)
    names = [f"{kind}-{number}" for kind in classes for number in range(1, PER_CLASS + 1)]
    held_out = set(testing)
    return _read(Path(folder), [name for name in names if name not in held_out], "lasot_dir", testing=False)


def read_testing(folder: str | Path) -> list[Sequence]:
    """The 280 testing sequences. Raises InputError for what is missing or malformed."""
    return _read(Path(folder), read_lines(TEST_LIST), "lasot_dir", testing=True)


def read_extension(folder: str | Path) -> list[Sequence]:
    """The 150 sequences of the extension. Raises InputError for what is missing or malformed."""
    names = [f"{kind}-{number}" for kind in EXTENSION_CLASSES for number in range(1, EXTENSION_PER_CLASS + 1)]
    return _read(Path(folder), names, "lasot_extension_subset_dir", testing=True)


def _read(root: Path, names: Iterable[str], key: str, *, testing: bool) -> list[Sequence]:
    places = {name: (root / name.rpartition("-")[0] / name, root / name) for name in names}
    folders = {name: next((path for path in tried if path.is_dir()), None) for name, tried in places.items()}
    missing = [name for name, path in folders.items() if path is None]
    refuse(
        (f"{places[name][0]}: sequence is missing" for name in missing),
        f"{places[(missing or list(places))[0]][0]}: {len(missing)} of {len(folders)} sequences are missing, this is "
        f"the first; complete the download, or set {key} in local.py",
    )
    return read_each(lambda path: _read_sequence(path, testing), [path for path in folders.values() if path])


def read_flagged_boxes(folder: Path) -> dict[str, np.ndarray]:
    """The annotation of one sequence: `boxes` and, where there are flags, `visible_share` (0: not visible)."""
    boxes = read_boxes(folder / "groundtruth.txt")
    flags = [read_flags(folder / name) for name in FLAGS if (folder / name).is_file()]
    if not flags:
        return {"boxes": boxes}
    absent = np.any([flag[: min(map(len, flags))] for flag in flags], axis=0)
    return {"boxes": boxes, "visible_share": 1.0 - absent}


def _read_sequence(folder: Path, testing: bool) -> Sequence:
    known = read_flagged_boxes(folder)
    if testing:
        check_start(folder / "groundtruth.txt", known["boxes"])
    sequence = make_sequence(folder.name, {VISIBLE: number_images(folder / "img", len(known["boxes"]))}, **known)
    return replace(sequence, category=folder.name.rpartition("-")[0])
