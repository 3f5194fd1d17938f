"""Tracking several targets in one video, frame by frame. A person may give any of them a new box in any frame."""

import time
from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace

import numpy as np

from ...core.frame import Images
from ...core.target import Target
from ...core.view import View
from ..tracker.protocol import HeatMap, Tracker


@dataclass(frozen=True, eq=False)
class DemoFrame:
    """One frame with its targets; a target has a number, from 1."""

    images: Images
    targets: dict[int, Target] = field(default_factory=dict)  # after this frame
    given: frozenset[int] = frozenset()  # targets whose box in this frame was given by a person
    heats: dict[int, HeatMap] = field(default_factory=dict)
    seconds: float = 0.0  # cropping, network and box mapping

    def lost(self, number: int, below: float) -> bool:
        """Whether a target counts as lost: the tracker did not find it, or its score is below a threshold."""
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
) -> DemoFrame:
    """One frame: targets with a given box start from it, the others are tracked.

    before: the targets after the frame before; name: of the video, for messages. Raises InputError, which names the
    target, for a box that tracking cannot start from.
    """
    begin = time.perf_counter()
    moving = {number: target for number, target in before.items() if number not in given}
    heats: dict[int, HeatMap] = {}

    def observe(targets: Many[Target], views: Many[Many[View]], shown: Many[HeatMap | None]) -> None:
        for target, one in zip(targets, shown, strict=True):
            if one is not None:
                heats[next(number for number, known in moving.items() if known is target)] = one

    moved = tracker.track(list(moving.values()), [images] * len(moving), observe if heat else None) if moving else []
    frame = DemoFrame(images, dict(zip(moving, moved, strict=True)), heats=heats)
    frame = start_targets(tracker, frame, given, name=name) if given else frame
    return replace(frame, seconds=time.perf_counter() - begin)


def start_targets(tracker: Tracker, frame: DemoFrame, given: Mapping[int, np.ndarray], *, name: str) -> DemoFrame:
    """The frame with targets started from given boxes: new targets, or known ones again. The others stay as they are.

    Raises InputError as `track_frame` does.
    """
    begin = time.perf_counter()
    names = [f"{name}, target {number}" for number in given]
    started = tracker.start([frame.images] * len(given), list(given.values()), names)
    targets = frame.targets | dict(zip(given, started, strict=True))
    heats = {number: heat for number, heat in frame.heats.items() if number not in given}
    seconds = frame.seconds + time.perf_counter() - begin
    return DemoFrame(frame.images, dict(sorted(targets.items())), frame.given | set(given), heats, seconds)
