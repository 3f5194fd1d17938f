"""Several targets through one video, frame by frame; a person may give any of them a new box at any time.

n cells on each side of a score map.
"""

import time
from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field, replace

import numpy as np

from ...core.frame import Images
from ...core.target import Target
from ...core.view import View
from ..tracker.protocol import HeatMap, Tracker


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """One frame and what is known of its targets, by their numbers."""

    images: Images
    targets: dict[int, Target] = field(default_factory=dict)  # after this frame
    given: frozenset[int] = frozenset()  # whose box is a person's
    heats: dict[int, HeatMap] = field(default_factory=dict)
    seconds: float = 0.0  # cropping, network and box mapping

    def lost(self, number: int, below: float) -> bool:
        """Whether a target is taken as lost: the tracker says so, or its score is under a threshold."""
        target = self.targets[number]
        return number not in self.given and (not target.found or target.score < below)


def track_frame(
    tracker: Tracker,
    before: Mapping[int, Target],
    images: Images,
    given: Mapping[int, np.ndarray],
    *,
    name: str,
    heat: bool = False,
) -> TrackedFrame:
    """One frame: targets that are given a box start there, the others are tracked.

    before: the targets of the frame before; name: what messages call the video. Raises InputError, which names the
    target, for a box that cannot be started from.
    """
    begin = time.perf_counter()
    moving = {number: target for number, target in before.items() if number not in given}
    heats: dict[int, HeatMap] = {}

    def observe(targets: Ordered[Target], views: Ordered[Ordered[View]], shown: Ordered[HeatMap | None]) -> None:
        for target, one in zip(targets, shown, strict=True):
            if one is not None:
                heats[next(number for number, known in moving.items() if known is target)] = one

    moved = tracker.track(list(moving.values()), [images] * len(moving), observe if heat else None) if moving else []
    frame = TrackedFrame(images, dict(zip(moving, moved, strict=True)), heats=heats)
    frame = start_targets(tracker, frame, given, name=name) if given else frame
    return replace(frame, seconds=time.perf_counter() - begin)


def start_targets(tracker: Tracker, frame: TrackedFrame, given: Mapping[int, np.ndarray], *, name: str) -> TrackedFrame:
    """The frame with targets that start in it, anew where they are known; the others stay as they are.

    Raises InputError as `track_frame`.
    """
    begin = time.perf_counter()
    names = [f"{name}, target {number}" for number in given]
    started = tracker.start([frame.images] * len(given), list(given.values()), names)
    targets = frame.targets | dict(zip(given, started, strict=True))
    heats = {number: heat for number, heat in frame.heats.items() if number not in given}
    seconds = frame.seconds + time.perf_counter() - begin
    return TrackedFrame(frame.images, dict(sorted(targets.items())), frame.given | set(given), heats, seconds)
