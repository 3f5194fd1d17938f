"""Reading result files of other code bases, as the kits of the benchmarks read them.

Numbers are separated by commas, tabs or blanks; a byte order mark is accepted; NaN is a lost target. A row is one of

    x y w h                      the usual form
    x1 y1 x2 y1 x2 y2 x1 y2      corners, as in the folders of GTOT and RGBT234
    1                            a code in VOT's files: the target was initialised or lost; becomes NaN
"""

import os
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...core.rounding import round_half_away
from ...datasets.annotation import SEPARATOR, parse_numbers, read_lines, read_numbers

BESIDE = ("_time.txt", "_confidence.txt")  # endings of other files that lie beside the boxes


def read_result(path: str | Path) -> np.ndarray:
    """The boxes of a result file, [T, 4] float64 `xywh`, in any of the forms above.

    Corners of upright rectangles are rounded to whole pixels, as in the kits of GTOT and RGBT234; a rotated
    rectangle becomes the upright rectangle around it. Raises InputError with file and line for any other form.
    """
    lines = read_lines(path)
    counts = {len(SEPARATOR.split(line)) for line in lines[:2]}  # VOT's files begin with a code
    if counts <= {1}:
        return parse_numbers(path, lines, 4)
    columns = 8 if max(counts) == 8 else 4
    if 1 in counts:
        code = " ".join(["nan"] * columns)
        lines = [code if line and SEPARATOR.search(line) is None else line for line in lines]
    rows = parse_numbers(path, lines, columns)
    return corners_to_boxes(rows) if columns == 8 else rows


def corners_to_boxes(corners: np.ndarray) -> np.ndarray:
    """Corners [T, 8] -> `xywh` [T, 4]; upright rectangles by the rule of the kits of GTOT and RGBT234.

    >>> corners_to_boxes(np.array([[10.4, 20, 30.6, 20, 30.6, 50, 10.4, 50]])).tolist()
    [[10.0, 20.0, 20.0, 30.0]]
    """
    x, y = corners[:, 0::2], corners[:, 1::2]
    kit = np.stack([x[:, 0], y[:, 0], x[:, 1] - x[:, 0], y[:, 2] - y[:, 0]], axis=1)
    hull = np.stack([x.min(1), y.min(1), np.ptp(x, axis=1), np.ptp(y, axis=1)], axis=1)
    upright = np.isclose(x[:, [0, 1]], x[:, [3, 2]]).all(1) & np.isclose(y[:, [0, 2]], y[:, [1, 3]]).all(1)
    return np.where(upright[:, None], round_half_away(kit), hull)


def other_readings(path: str | Path, count: int) -> dict[str, np.ndarray]:
    """What the first rows of a result file are if they are no corners though they have eight numbers: words -> `xywh`
    [T, 4], T up to `count`. They may be the boxes of two streams, or four numbers with decimal commas."""
    with Path(path).open("rb") as file:  # most files have four numbers and are not read a second time
        if len(SEPARATOR.split(file.readline().decode("utf-8", "replace").strip())) not in (1, 8):
            return {}
    rows = [SEPARATOR.split(line) for line in read_lines(path)[:count]]
    if {len(row) for row in rows} - {1} != {8}:  # VOT's codes have one
        return {}
    whole = [row if len(row) == 8 else ["nan"] * 8 for row in rows]
    readings = {"x y w h in the first four of eight columns": [row[:4] for row in whole]}
    if all(part.isdecimal() for row in rows for part in row[1::2]):
        joined = [[f"{place}.{part}" for place, part in zip(row[::2], row[1::2], strict=True)] for row in rows]
        readings["x y w h with decimal commas"] = joined
    return {words: np.array(texts).astype(np.float64) for words, texts in readings.items()}


def find_result(folder: str | Path, name: str) -> Path | None:
    """The result file of a sequence: `<name>.txt`, `<name>/<name>_001.txt` (GOT-10k, VOT) or `<tracker>_<name>.txt`
    (GTOT, where all files of the folder begin with the tracker's name); None where there is none."""
    for path in (Path(folder) / f"{name}.txt", Path(folder) / name / f"{name}_001.txt"):
        if path.is_file():
            return path
    try:
        files = [entry for entry in os.listdir(folder) if entry.endswith(".txt") and not entry.endswith(BESIDE)]
    except OSError:
        return None
    shared = os.path.commonprefix(files)
    path = Path(folder) / f"{shared[: shared.rfind('_') + 1]}{name}.txt"
    return path if path.is_file() else None


def list_results(folder: str | Path) -> dict[str, Path]:
    """Sequence name -> result file of a folder, in alphabetical order. Raises InputError when it holds none.

    A prefix counts as the tracker's name only if it is the folder's name and all files have it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: folder does not exist; expected one of <sequence>.txt files")
    paths = sorted(path for path in folder.glob("*.txt") if not path.name.endswith(BESIDE))
    paths += sorted(path for path in folder.glob("*/*_001.txt") if path.stem == f"{path.parent.name}_001")
    if not paths:
        raise InputError(f"{folder}: no results; expected <sequence>.txt or <sequence>/<sequence>_001.txt")
    prefix = f"{folder.resolve().name}_"
    if not all(path.name.lower().startswith(prefix.lower()) for path in paths):
        prefix = ""
    return {
        path.stem.removesuffix("_001") if path.parent != folder else path.stem[len(prefix) :]: path for path in paths
    }


def read_confidence(path: Path, name: str) -> np.ndarray | None:
    """Confidence, and 1 where the target is reported, [T, 2], from the file beside the result file of a sequence; None
    where there is no such file. In a file with one column the target counts as reported in every frame (VOT's
    `<sequence>_001_confidence.value`, in which an empty line is NaN). Raises InputError for malformed files."""
    for place in (f"{path.stem}_confidence.txt", f"{name}_confidence.txt", f"{path.stem}_confidence.value"):
        file = path.parent / place
        if file.is_file():
            lines = [line or "nan" for line in read_lines(file)]
            columns = 2 if lines and len(SEPARATOR.split(lines[-1])) == 2 else 1
            values = parse_numbers(file, lines, columns)
            return values if columns == 2 else np.concatenate([values, np.ones_like(values)], axis=1)
    return None


def read_times(path: Path, name: str) -> np.ndarray | None:
    """Seconds per frame, [T], from the file beside the result file of a sequence; None where there is no such file."""
    for place in (f"{path.stem}_time.txt", f"{name}_time.txt", f"{path.stem}_time.value"):
        if (path.parent / place).is_file():
            return read_numbers(path.parent / place, 1)[:, 0]
    return None
