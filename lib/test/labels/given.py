"""Sequences from videos whose targets have boxes: a text file beside each video, or one table for many videos."""

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ...core.errors import InputError
from ...core.lock import hold
from ...core.names import check_distinct, check_name
from ...core.words import counted
from ...datasets.annotation import read_boxes
from ...datasets.sequence import Frames
from .make import Source
from .writing import new_folder, write_sequence

log = logging.getLogger(__name__)

COLUMNS = ("sequence", "video", "frame", "x", "y", "w", "h")  # of a table; frames are counted from 1


@dataclass(frozen=True, eq=False)
class Known:
    """A target whose boxes are known."""

    name: str  # of the sequence
    shown: Sequence[int]  # L frames of the video, counted from 0
    boxes: np.ndarray  # [L, 4] xywh, pixels; 0, 0, 0, 0 where the target is absent


def read_beside(source: Source, step: int) -> list[Known]:
    """The target of a video <name>.mp4 with a box for every frame in <name>.txt: every `step`-th frame from the first
    to the last one that shows it. None where no frame does.

    Raises InputError where the file is missing or no list of boxes.
    """
    path = source.paths[0].with_suffix(".txt")
    if not path.is_file():
        raise InputError(f"{path}: does not exist; --boxes beside needs a file of boxes beside each video")
    boxes = read_boxes(path)
    there = np.flatnonzero((boxes[:, 2:] > 0).all(1))
    if not len(there):
        return []
    shown = range(there[0], there[-1] + 1, step)
    return [Known(source.name, shown, boxes[shown.start : shown.stop : step])]


def read_table(path: Path) -> dict[str, list[Known]]:
    """The targets of a CSV file with the columns `COLUMNS`, by the name of their video.

    Raises InputError for a file without these columns, for a row that is no box, and for a sequence of two videos.
    """
    rows: dict[tuple[str, str], list[list[float]]] = {}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
                raise InputError(f"{path}: has no column {', '.join(missing)}; expected {','.join(COLUMNS)}")
            for row in reader:
                values = _read_row(path, reader.line_num, row)
                rows.setdefault((row["video"], check_name(row["sequence"], f"{path}: sequence")), []).append(values)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    names = [name for _, name in rows]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"{path}: {min(twice)} stands in two videos; name each sequence differently")
    found: dict[str, list[Known]] = {}
    for (video, name), numbers in rows.items():
        table = np.array(numbers)
        found.setdefault(video, []).append(Known(name, [int(frame) - 1 for frame in table[:, 0]], table[:, 1:]))
    return found


def _read_row(path: Path, line: int, row: dict[str, str]) -> list[float]:
    try:
        values = [float(row[name]) for name in COLUMNS[2:]]
    except (TypeError, ValueError):
        values = []
    if not values or not np.isfinite(values).all() or values[0] < 1 or values[0] % 1:
        raise InputError(f"{path}, line {line}: expected a frame number from 1 and x,y,w,h")
    return values


def write_known(sources: Sequence[Source], known: Sequence[list[Known]], out: Path) -> None:
    """A sequence in RGBT234's layout in `out` for each known target of each video; those that exist are left as they
    are. One line says what was written.

    Raises InputError where a video has fewer frames than its boxes, for two names that are one in `out`, and while
    another run writes.
    """
    written = there = 0
    check_distinct([target.name for targets in known for target in targets], out)
    with hold(out, "choose another --out"):
        for source, targets in zip(sources, tqdm(known, unit="video", dynamic_ncols=True), strict=True):
            missing = [target for target in targets if not (out / target.name).exists()]
            there += len(targets) - len(missing)
            if not missing:
                continue
            frames = source.open()
            for target in missing:
                _write(source, frames, target, out / target.name)
                written += 1
    log.info("%s: %s written%s", out, counted(written, "sequence"), f", {there} were there" if there else "")


def _write(source: Source, frames: Frames, target: Known, folder: Path) -> None:
    if max(target.shown) >= len(frames):
        raise InputError(
            f"{source.paths[0]}: has {counted(len(frames), 'frame')}, but {target.name} has a box in frame "
            f"{max(target.shown) + 1}; is it another video?"
        )
    with new_folder(folder) as hidden:
        write_sequence(hidden, frames, target.shown, target.boxes, {})
