"""GTOT (Li et al., TIP 2016): 50 registered visible and infrared sequences, a box for each stream.

<seq>/v/00001v.png  <seq>/i/00001i.png  groundTruth_v.txt  groundTruth_i.txt     corners x1 y1 x2 y2
"""

from pathlib import Path

import numpy as np

from lib.datasets.annotation import read_boxes
from lib.datasets.collection import read_each
from lib.datasets.layout import check_count, check_start, find_sequences, make_sequence
from lib.datasets.sequence import INFRARED, VISIBLE, Sequence


def read_gtot(folder: str | Path) -> list[Sequence]:
    """The 50 sequences. Raises InputError for what is missing or malformed."""
    folders = find_sequences(Path(folder), "v", "gtot_dir", depth=2)
    check_count(Path(folder), len(folders), 50, "GTOT")
    return read_each(_read_sequence, folders.values())


def read_corner_boxes(folder: Path) -> dict[str, np.ndarray]:
    """The annotation of one sequence, `boxes` and `boxes_infrared`: width is x2 - x1, without the last pixel."""
    visible = folder / "groundTruth_v.txt"
    return {
        "boxes": check_start(visible, _read_corners(visible)),
        "boxes_infrared": _read_corners(folder / "groundTruth_i.txt"),
    }


def _read_sequence(folder: Path) -> Sequence:
    return make_sequence(folder.name, {VISIBLE: folder / "v", INFRARED: folder / "i"}, **read_corner_boxes(folder))


def _read_corners(path: Path) -> np.ndarray:
    """[T, 4] xywh from opposite corners in any order."""
    corners = read_boxes(path).reshape(-1, 2, 2)
    low, high = corners.min(1), corners.max(1)
    return np.concatenate([low, high - low], axis=1)
