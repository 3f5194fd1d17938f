"""Boxes that a person gives, for any target in any frame: on the command line, in a file or with the mouse.

A file holds one box per line. Commas, tabs or blanks separate the numbers; `#` begins a comment. Frames and targets
count from 1, as in the pictures and in tracks.csv:

    x y w h                 first frame; each line is another target
    frame x y w h           target 1 in that frame
    frame target x y w h    any target in any frame; the first box of a target starts it, a later one corrects it
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...datasets.annotation import SEPARATOR, read_lines
from ..tracker.protocol import FARTHEST

log = logging.getLogger(__name__)

#: frame from 0 -> target from 1 -> [4] xywh, pixels of the visible image
GivenBoxes = Mapping[int, Mapping[int, np.ndarray]]

MOST_TARGETS = 50  # a file with more is probably an annotation of every frame


def parse_box(text: str) -> np.ndarray:
    """`x,y,w,h` -> [4] float64 pixels. Raises InputError for anything else."""
    try:
        return _box([float(number) for number in text.split(",")])
    except ValueError:
        raise InputError(
            f"--box {text}: expected x,y,w,h in pixels, width and height above 0, for example 120,80,40,60"
        ) from None


def first_boxes(boxes: Iterable[np.ndarray]) -> GivenBoxes:
    """One target per box; all start in the first frame."""
    return {0: dict(enumerate(boxes, 1))}


def read_given_boxes(path: str | Path) -> GivenBoxes:
    """The boxes of a file. Raises InputError, with file and line, for a line that is not a box."""
    given: dict[int, dict[int, np.ndarray]] = {}
    for number, line in enumerate(read_lines(path), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        frame, target, box = _parse_line(path, number, text, len(given.get(0, {})))
        if target in given.setdefault(frame, {}):
            raise InputError(f"{path}: line {number}: target {target} has a box in frame {frame + 1} already")
        given[frame][target] = box
    if not given:
        raise InputError(f"{path}: no boxes; expected lines of: frame target x y w h")
    if len({target for boxes in given.values() for target in boxes}) > MOST_TARGETS:
        raise InputError(
            f"{path}: more than {MOST_TARGETS} targets; give each one's first box, not that of every frame"
        )
    return given


def check_within(given: GivenBoxes, frames: int, name: str) -> None:
    """Warn of each box after the last of the frames that are tracked; name: of the video. Raises InputError where all
    boxes are."""
    late = {frame: boxes for frame, boxes in sorted(given.items()) if frame >= frames}
    if late and len(late) == len(given):
        raise InputError(
            f"{name}: {frames} frames are tracked, but the first box is for frame {min(late) + 1}; frames count from 1"
        )
    for frame, boxes in late.items():
        for target in boxes:
            log.warning(
                "%s: %d frames are tracked; the box of target %d in frame %d is not used",
                name,
                frames,
                target,
                frame + 1,
            )


def _parse_line(path: str | Path, number: int, text: str, begun: int) -> tuple[int, int, np.ndarray]:
    """Frame from 0, target from 1, box; begun: number of targets in the first frame so far."""
    try:
        values = [float(field) for field in SEPARATOR.split(text)]
        box = _box(values[-4:])
        places = [int(value) for value in values[:-4] if abs(value) <= FARTHEST * FARTHEST]
        if places != values[:-4] or min(places, default=1) < 1 or len(places) > 2:
            raise ValueError
    except ValueError:
        raise InputError(
            f"{path}: line {number}: expected [frame [target]] x y w h, frame and target from 1, got {text[:60]!r}"
        ) from None
    if not places:
        return 0, begun + 1, box
    return places[0] - 1, places[1] if len(places) == 2 else 1, box


def _box(values: list[float]) -> np.ndarray:
    """[4] xywh. Raises ValueError for a box that has no area, is not finite or beyond any image."""
    box = np.array(values)
    if box.shape != (4,) or not np.isfinite(box).all() or (box[2:] <= 0).any() or np.abs(box).max() > FARTHEST:
        raise ValueError
    return box
