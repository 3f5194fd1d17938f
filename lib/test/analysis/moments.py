"""Moments in which one tracker loses the target while another keeps it: stretches of frames, the worst first."""

from collections.abc import Iterable
from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ...datasets.sequence import Sequence
from ..metrics import overlap

LOST, KEPT = 0.1, 0.5  # overlap below which a target counts as lost, and from which it counts as kept
PAUSE = 10  # annotated frames: a shorter pause does not end a moment


@dataclass(frozen=True)
class Moment:
    """A stretch of one sequence, in frame indices from 0."""

    sequence: str
    first: int
    last: int
    peak: int  # the frame with the largest difference in overlap
    loss: float  # sum of the differences over the frames that one tracker loses and the other keeps


def frame_boxes(sequence: Sequence, result: np.ndarray, origin: object) -> dict[int, np.ndarray]:
    """Frame index -> box, from a result with one row per frame or per annotated frame.

    Raises InputError, which names `origin`, for any other number of rows.
    """
    if sequence.annotated is not None and len(result) in (len(sequence.annotated), len(sequence.annotated) + 1):
        return dict(zip(sequence.annotated.tolist(), result, strict=False))
    if len(result) < len(sequence):
        raise InputError(f"{origin}: {len(result)} rows for {len(sequence)} frames; the result is cut short")
    return dict(enumerate(result[: len(sequence)]))


def true_boxes(sequence: Sequence) -> dict[int, np.ndarray]:
    """Frame index -> annotated box, where the target is present."""
    frames = range(len(sequence.boxes)) if sequence.annotated is None else sequence.annotated.tolist()
    return {frame: box for frame, box, there in zip(frames, sequence.boxes, sequence.valid, strict=True) if there}


def overlaps(truth: dict[int, np.ndarray], boxes: dict[int, np.ndarray]) -> dict[int, float]:
    """Frame index -> intersection over union, in the order of the frames; NaN boxes overlap with nothing."""
    frames = [frame for frame in truth if frame in boxes]
    if not frames:
        return {}
    values = overlap(np.array([truth[frame] for frame in frames]), np.array([boxes[frame] for frame in frames]))
    return dict(zip(frames, np.nan_to_num(values).tolist(), strict=True))


def find_moments(name: str, lost: dict[int, float], kept: dict[int, float]) -> list[Moment]:
    """The moments of one sequence. lost, kept: frame index -> overlap of the two trackers."""
    frames = np.array([frame for frame in lost if frame in kept])
    losing = np.array([lost[frame] for frame in frames.tolist()])
    gaps = np.array([kept[frame] for frame in frames.tolist()]) - losing
    hits = np.flatnonzero((losing < LOST) & (losing + gaps >= KEPT))
    groups = np.split(hits, np.flatnonzero(np.diff(hits) > PAUSE) + 1) if len(hits) else []
    return [
        Moment(
            name, int(frames[part[0]]), int(frames[part[-1]]), int(frames[part[gaps[part].argmax()]]), gaps[part].sum()
        )
        for part in groups
    ]


def worst_first(moments: Iterable[Moment], most: int) -> Many[Moment]:
    """At most `most` moments, the largest loss first."""
    return sorted(moments, key=lambda moment: (-moment.loss, moment.sequence, moment.first))[:most]
