"""Following many boxes through a window of frames, forwards and backwards, in one forward pass a frame."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ...core.target import Target
from ..metrics.measure import overlap
from ..tracker.protocol import Tracker

LOST_BELOW = 0.4  # score of a lost target
LOST_FOR = 5  # frames in a row with a lower score after which a target is not followed further

Window = Sequence[Sequence[np.ndarray]]  # [T][S] images [H, W, 3] uint8 RGB of S streams


class Seed(NamedTuple):
    """A box in one stream that following starts from."""

    time: int  # frame of the window
    stream: int
    box: np.ndarray  # [4] xywh, pixels


class Path(NamedTuple):
    """A target in T frames; NaN where it was not followed."""

    boxes: np.ndarray  # [T, 4] xywh, pixels
    scores: np.ndarray  # [T]


class Pair(NamedTuple):
    """A target followed forwards, and from where that ended back to its first frame."""

    forward: Path
    backward: Path

    @property
    def agreement(self) -> np.ndarray:
        """[T] overlap of both boxes; NaN where either is missing."""
        return overlap(self.forward.boxes, self.backward.boxes)

    @property
    def boxes(self) -> np.ndarray:
        """[T, 4] mean of both boxes."""
        return (self.forward.boxes + self.backward.boxes) / 2

    @property
    def scores(self) -> np.ndarray:
        """[T] lower score of the two."""
        return np.minimum(self.forward.scores, self.backward.scores)


def follow_both_ways(tracker: Tracker, window: Window, seeds: Sequence[Seed]) -> list[Pair]:
    """Each target from the first frame of a window to its last, or to where it is lost, and back again."""
    forward = follow(tracker, window, seeds, range(len(window)))
    ends = [last_sure(path) for path in forward]
    back = [Seed(end, seed.stream, path.boxes[end]) for end, seed, path in zip(ends, seeds, forward, strict=True)]
    backward = follow(tracker, window, back, range(max(ends, default=-1), -1, -1))
    return [Pair(*both) for both in zip(forward, backward, strict=True)]


def follow(tracker: Tracker, window: Window, seeds: Sequence[Seed], times: Iterable[int]) -> list[Path]:
    """Each target from its seed on, through the frames `times` of a window, until it is lost."""
    paths = [Path(np.full((len(window), 4), np.nan), np.full(len(window), np.nan)) for _ in seeds]
    targets: dict[int, Target] = {}
    low = dict.fromkeys(range(len(seeds)), 0)
    for time in times:
        images = {number: [window[time][seed.stream]] for number, seed in enumerate(seeds)}
        if targets:
            moved = tracker.track(list(targets.values()), [images[number] for number in targets])
            targets = dict(zip(targets, moved, strict=True))
        begun = [number for number, seed in enumerate(seeds) if seed.time == time]
        if begun:
            started = tracker.start([images[n] for n in begun], [seeds[n].box for n in begun])
            targets |= dict(zip(begun, started, strict=True))
        for number, target in list(targets.items()):
            paths[number].boxes[time], paths[number].scores[time] = target.box, target.score
            low[number] = low[number] + 1 if target.score < LOST_BELOW else 0
            if low[number] == LOST_FOR:
                del targets[number]
    return paths


def last_sure(path: Path) -> int:
    """The last frame in which a target is not lost."""
    return int(np.flatnonzero(path.scores >= LOST_BELOW)[-1])
