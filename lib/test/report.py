"""From result folders to tables: which results exist, what they score, how fast they were."""

import csv
import logging
from collections.abc import Iterable
from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.core.atomic import write_atomically
from lib.core.errors import InputError
from lib.datasets.sequence import Sequence
from lib.test.metrics import PLAIN, PROTOCOLS, Protocol, Scores, Truth, score
from lib.test.results import read_result, read_seconds, result_paths

log = logging.getLogger(__name__)

Row = list[str]


@dataclass(frozen=True)
class Video:
    """What scoring needs of a sequence."""

    name: str
    truth: Truth


@dataclass(frozen=True, eq=False)
class Entry:
    """One line of a table: a tracker, its scores and speed."""

    name: str
    videos: tuple[str, ...]  # [S] names, in the order of the scores
    scores: Scores
    speed: float | None  # frames per second, None without time files


def protocol_of(dataset: str) -> Protocol:
    """The rules of a data set by its family name: `lasher_test` -> those of LasHeR; plain ones for any other."""
    return PROTOCOLS.get(dataset.lower().split("_")[0], PLAIN)


def videos_of(sequences: Iterable[Sequence]) -> list[Video]:
    """What can be scored of these sequences; says which have no annotation after the first frame.

    Raises InputError when none can be scored.
    """
    videos, unscored = [], []
    for sequence in sequences:
        if len(sequence.boxes) < len(sequence):
            unscored.append(sequence.name)
            continue
        absent = None if sequence.visible_share is None else sequence.visible_share <= 0
        videos.append(Video(sequence.name, Truth(sequence.boxes, sequence.boxes_infrared, absent)))
    if unscored:
        log.warning("not scored, annotated in the first frame only: %s", ", ".join(unscored))
    if not videos:
        raise InputError("nothing to score: no sequence is annotated after its first frame")
    return videos


def evaluate(
    name: str, folder: Path, videos: Ordered[Video], protocol: Protocol, *, skip_missing: bool = False, remedy: str = ""
) -> Entry:
    """Score the result files of one tracker.

    skip_missing: score the sequences that have results, and say how many that are. remedy: how to make the missing
    ones, for the message. Raises InputError for missing, short and malformed files.
    """
    there = [video for video in videos if result_paths(folder, video.name)[0].is_file()]
    if len(there) < len(videos):
        missing = [video.name for video in videos if video not in there]
        lack = f"{folder}: {len(missing)} of {len(videos)} results are missing: {', '.join(missing[:3])}"
        lack += ", …" if len(missing) > 3 else ""
        if not skip_missing or not there:
            raise InputError(f"{lack}; {remedy or 'score the finished ones with --skip_missing'}")
        log.warning("%s; %s is scored on the other %d only", lack, name, len(there))
    results = [_read_checked(folder, video) for video in there]
    scores = score(protocol, [video.truth for video in there], results)
    return Entry(name, tuple(video.name for video in there), scores, read_speed(folder, there))


def read_speed(folder: Path, videos: Iterable[Video]) -> float | None:
    """Frames per second over all videos that have a time file; None where none has."""
    paths = [result_paths(folder, video.name)[1] for video in videos]
    return speed_of([read_seconds(path) for path in paths if path.is_file()])


def speed_of(seconds: Iterable[np.ndarray]) -> float | None:
    """Tracked frames per second from [T] seconds of each video, without their first frames (the start)."""
    tracked = [part[1:] for part in seconds]
    total = sum(float(part.sum()) for part in tracked)
    return sum(map(len, tracked)) / total if total > 0 else None


def named_folders(options: Iterable[str]) -> dict[str, Path]:
    """`NAME=DIR` options of `--results`. Raises InputError for anything else and for a name given twice."""
    folders: dict[str, Path] = {}
    for option in options:
        name, _, folder = option.partition("=")
        if not (name and folder and Path(folder).is_dir()):
            raise InputError(f"--results {option}: expected NAME=DIR with a folder of <sequence>.txt files")
        if name in folders:
            raise InputError(f"--results {option}: {name} is given twice")
        folders[name] = Path(folder)
    return folders


def overall_rows(entries: Ordered[Entry]) -> list[Row]:
    """A header and one row per tracker: figures in percent, frames per second, number of sequences."""
    names = [metric.name for metric in entries[0].scores.protocol.metrics]
    rows = [["tracker", *names, "frames/s", "sequences"]]
    for entry in entries:
        figures = [f"{100 * entry.scores.overall[name]:.2f}" for name in names]
        speed = "-" if entry.speed is None else f"{entry.speed:.1f}"
        rows.append([entry.name, *figures, speed, str(len(entry.videos))])
    return rows


def sequence_rows(entries: Ordered[Entry]) -> list[Row]:
    """A header and one row per sequence: each tracker's figures in percent, all in one column."""
    names = [metric.name for metric in entries[0].scores.protocol.metrics]
    rows = [[f"sequence ({' / '.join(names)})", *(entry.name for entry in entries)]]
    cells = []
    for entry in entries:
        figures = zip(*(100 * entry.scores.per_sequence[name] for name in names), strict=True)
        shown = [" / ".join(f"{figure:.1f}" for figure in row) for row in figures]
        cells.append(dict(zip(entry.videos, shown, strict=True)))
    for video in dict.fromkeys(video for entry in entries for video in entry.videos):
        rows.append([video, *(column.get(video, "-") for column in cells)])
    return rows


def format_text(rows: Ordered[Row]) -> str:
    """Aligned columns for a terminal; the first one to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def format_markdown(rows: Ordered[Row]) -> str:
    """A Markdown table."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    cells.insert(1, ["---", *["---:"] * (len(rows[0]) - 1)])
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def csv_rows(entries: Ordered[Entry]) -> list[Row]:
    """A header, then per tracker one row over all sequences (`ALL`) and one per sequence; percent, four decimals."""
    names = [metric.name for metric in entries[0].scores.protocol.metrics]
    rows = [["tracker", "sequence", *names]]
    for entry in entries:
        table = entry.scores.per_sequence
        rows.append([entry.name, "ALL", *(f"{100 * entry.scores.overall[name]:.4f}" for name in names)])
        for index, video in enumerate(entry.videos):
            rows.append([entry.name, video, *(f"{100 * table[name][index]:.4f}" for name in names)])
    return rows


def write_csv(path: str | Path, rows: Iterable[Row]) -> None:
    """Write a table as CSV, whole or not at all."""
    with write_atomically(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def _read_checked(folder: Path, video: Video) -> np.ndarray:
    path = result_paths(folder, video.name)[0]
    result = read_result(path)
    if len(result) < len(video.truth.boxes):
        frames = len(video.truth.boxes)
        raise InputError(f"{path}: {len(result)} rows for {frames} annotated frames; remove it and track it again")
    return result
