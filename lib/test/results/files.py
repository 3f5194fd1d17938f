"""Result files in the layout of the OSTrack code base: `<results>/<tracker>/<config>/<sequence>.txt`, `_time.txt`.

Boxes are tab-separated `x y w h` in pixels, one row per frame, with four decimals: exact to 5e-5 pixels, and a file
that is read and written again stays the same. The OSTrack code base itself truncates boxes to integers. Seconds per
frame: of the tracker alone and, tab-separated, from frame to frame, which includes reading the images. The optional
file `<sequence>_confidence.txt` is for long-term metrics: the score of every frame and, tab-separated, 1 where the
target was found.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ...core.atomic import write_atomically
from ...core.errors import InputError
from ...core.names import check_distinct, check_name
from ...datasets.annotation import SEPARATOR, parse_numbers, read_lines
from ...datasets.sequence import Sequence
from .dialect import BESIDE, read_result

log = logging.getLogger(__name__)

_SPACE = b" \t\r\n"


def result_folder(results_dir: str | Path, tracker: str, config: str, runid: int | None = None) -> Path:
    """`<results>/<tracker>/<config>`, with OSTrack's suffix `_007` for a run with a number. Raises InputError for names
    that lead to another folder.

    >>> str(result_folder("results", "tbsi_track", "tiny", 7))
    'results/tbsi_track/tiny_007'
    """
    check_name(tracker, "tracker")
    check_name(config, "configuration")
    return Path(results_dir) / tracker / (config if runid is None else f"{config}_{runid:03d}")


def result_paths(folder: str | Path, name: str) -> tuple[Path, Path]:
    """The two files of a sequence: boxes and seconds. Raises InputError for a name that leads to another folder."""
    check_name(name, "sequence")
    return Path(folder) / f"{name}.txt", Path(folder) / f"{name}_time.txt"


def confidence_path(folder: str | Path, name: str) -> Path:
    """The file of a sequence that holds the confidence in every frame."""
    check_name(name, "sequence")
    return Path(folder) / f"{name}_confidence.txt"


def write_result(
    folder: str | Path,
    name: str,
    boxes: np.ndarray,
    seconds: np.ndarray,
    confidence: np.ndarray | None = None,
    *,
    integer_boxes: bool = False,
) -> None:
    """Write the files of a sequence. The boxes are written last: where a file of boxes exists, the result is complete.

    boxes: [T, 4] xywh pixels; seconds: [T] per frame of the tracker alone, the first one for the initialisation, or
    [T, 2] with those from frame to frame as the second column. confidence: [T, 2] score and 1 where the target was
    found, if the tracker reports them. integer_boxes: truncate towards zero as the OSTrack code base does.
    Raises ValueError when numbers of rows differ or numbers are not finite, InputError when the files cannot be written
    (existing files are then kept).
    """
    if boxes.shape != (len(seconds), 4):
        raise ValueError(f"{name}: boxes {boxes.shape} and {len(seconds)} seconds do not match")
    broken = ~np.isfinite(boxes).all(1)
    if broken.any():
        raise ValueError(f"{name}: the box of frame {broken.argmax() + 1} is not finite: {boxes[broken.argmax()]}")
    if confidence is not None and (confidence.shape != (len(boxes), 2) or not np.isfinite(confidence).all()):
        raise ValueError(f"{name}: confidence {confidence.shape} is not [{len(boxes)}, 2] finite numbers")
    boxes_path, seconds_path = result_paths(folder, name)
    _write_rows(seconds_path, seconds.reshape(len(seconds), -1), "%.6f")
    if confidence is not None:
        _write_rows(confidence_path(folder, name), confidence, ("%.6f", "%d"))
    if integer_boxes:
        _write_rows(boxes_path, boxes.astype(np.int64), "%d")
    else:
        _write_rows(boxes_path, np.round(boxes, 4) + 0.0, "%.4f")  # + 0.0: no minus before a zero


def check_names(names: Iterable[str], folder: str | Path) -> None:
    """Raises InputError for two sequences that would write the same file in a folder, as `walk` and `walk_time`, and on
    file systems that ignore case `Walk` and `walk`."""
    known = set(names)
    check_distinct(known, folder)
    for name in sorted(known):
        for ending in BESIDE:
            other = name + ending.removesuffix(".txt")
            if other in known:
                raise InputError(
                    f"{name} and {other}: both sequences would write {name}{ending}; rename the folder of one of them"
                )


def read_seconds(path: str | Path) -> np.ndarray:
    """Seconds per frame of the tracker alone, [T] float64. Raises InputError for a malformed file."""
    return read_both_seconds(path)[:, 0]


def read_both_seconds(path: str | Path) -> np.ndarray:
    """Seconds per frame, [T, 2] float64: of the tracker alone, and from frame to frame with reading the images (NaN
    where the file has one column, as in the OSTrack code base). Raises InputError for a malformed file."""
    lines = read_lines(path)
    columns = 2 if lines and len(SEPARATOR.split(lines[0])) == 2 else 1
    seconds = parse_numbers(path, lines, columns)
    return seconds if columns == 2 else np.concatenate([seconds, np.full_like(seconds, np.nan)], axis=1)


def finished(folder: str | Path, sequence: Sequence) -> bool:
    """Whether the files of a sequence exist and have one row per frame (confidences are not needed).

    Warns when they are empty or torn, or have another number of rows: such a sequence is tracked again. Raises
    InputError for malformed files.
    """
    boxes, seconds = result_paths(folder, sequence.name)
    confidence = confidence_path(folder, sequence.name)
    if not (boxes.is_file() and seconds.is_file()):
        return False
    torn = [path for path in (boxes, seconds, confidence) if path.is_file() and holds_nothing(path)]
    if torn:
        log.warning("%s: is empty or filled with zeros; this result is incomplete and will be replaced", torn[0])
        return False
    rows = len(read_result(boxes)), len(read_seconds(seconds))
    if rows != (len(sequence), len(sequence)):
        message = "%s: %d boxes and %d seconds for %d frames; this result is incomplete and will be replaced"
        log.warning(message, boxes, *rows, len(sequence))
        return False
    if confidence.is_file() and (count := len(read_lines(confidence))) != len(sequence):
        message = "%s: %d rows for %d frames; this result is incomplete and will be replaced"
        log.warning(message, confidence, count, len(sequence))
        return False
    return True


def holds_nothing(path: Path) -> bool:
    """Whether a file of numbers is empty or holds null bytes, as after a power failure, or boxes that are all zeros."""
    content = path.read_bytes()
    return b"\0" in content or not content.strip(_SPACE if path.name.endswith(BESIDE) else _SPACE + b"0.,-")


def _write_rows(path: Path, rows: np.ndarray, form: str | tuple[str, ...]) -> None:
    try:
        with write_atomically(path) as temporary:
            np.savetxt(temporary, rows, fmt=form, delimiter="\t")
    except OSError as error:
        remedy = "finished sequences are kept, the same command continues"
        raise InputError(f"{path}: cannot be written: {error.strerror or error}; {remedy}") from error
