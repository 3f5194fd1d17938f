"""GTOT (Li et al., TIP 2016): 50 registered visible and infrared sequences, a box for each stream.

<seq>/v/00001v.png  <seq>/i/00001i.png  groundTruth_v.txt  groundTruth_i.txt     corners x1 y1 x2 y2
AttrMat.mat of the evaluation kit: the names of the sequences and a column of flags per attribute
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ..annotation import read_boxes
from ..collection import read_each
from ..layout import check_count, check_start, find_sequences, make_sequence
from ..mat import read_mat
from ..sequence import INFRARED, VISIBLE, Sequence

ATTRIBUTES = "AttrMat.mat"


def read_gtot(folder: str | Path) -> list[Sequence]:
    """The 50 sequences, with attributes where AttrMat.mat is in the folder. Raises InputError for what is missing or
    malformed."""
    folders = find_sequences(Path(folder), "v", "gtot_dir", depth=2)
    check_count(Path(folder), len(folders), 50, "GTOT")
    sequences = read_each(_read_sequence, folders.values())
    path = Path(folder) / ATTRIBUTES
    known = read_attributes(path) if path.is_file() else {}
    return [replace(sequence, attributes=known.get(sequence.name, {})) for sequence in sequences]


def read_attributes(path: Path) -> dict[str, dict[str, bool]]:
    """Sequence -> attribute -> flag, from AttrMat.mat. Raises InputError for a file without names and flags."""
    variables = read_mat(path)
    names = variables.pop("seqName", [])
    columns = {name: values.ravel() for name, values in variables.items() if isinstance(values, np.ndarray)}
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        columns = {}
    if not columns or any(len(values) != len(names) for values in columns.values()):
        raise InputError(f"{path}: expected seqName and one flag per name and attribute; get the file of the kit again")
    return {name: {key: bool(columns[key][row]) for key in columns} for row, name in enumerate(names)}


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
