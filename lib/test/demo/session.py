"""Watching: several targets through one video, frame by frame, each of which a person may give a new box at any time.

n cells on each side of a score map.
"""

import time
from collections.abc import Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ...core.crop import Crop
from ..tracker.crop_tracker import Images, Target, Tracker


class Heat(NamedTuple):
    """A score map and where in the frame it lies."""

    scores: np.ndarray  # [n, n] in [0, 1]
    region: np.ndarray  # [4] xywh, pixels of the frame; may leave it


@dataclass(frozen=True, eq=False)
class Watched:
    """One frame and what is known of its targets, by their numbers."""

    images: Images
    targets: dict[int, Target] = field(default_factory=dict)  # after this frame
    given: frozenset[int] = frozenset()  # whose box is a person's
    heats: dict[int, Heat] = field(default_factory=dict)
    seconds: float = 0.0  # cropping, network and box mapping

    def lost(self, number: int, below: float) -> bool:
        """Whether a target is taken as lost: the tracker says so, or its score is under a threshold."""
        target = self.targets[number]
        return number not in self.given and (not target.visible or target.score < below)


def watch(
    tracker: Tracker,
    before: Mapping[int, Target],
    images: Images,
    given: Mapping[int, np.ndarray],
    *,
    name: str,
    heat: bool = False,
) -> Watched:
    """One frame: targets that are given a box start there, the others are tracked.

    before: the targets of the frame before, which stay as they are: to correct a frame, watch it again. name: what
    messages call the video.
    Raises InputError, which names the target, for a box that cannot be started from.
    """
    begin = time.perf_counter()
    moving = {number: target for number, target in before.items() if number not in given}
    heats: dict[int, Heat] = {}

    def observe(targets: Ordered[Target], crops: Ordered[tuple[np.ndarray, Crop]], prediction: Any) -> None:
        numbers = [number for target in targets for number, known in moving.items() if known is target]
        heats.update(zip(numbers, read_heats(tracker, crops, prediction), strict=False))

    moved = tracker.track(list(moving.values()), [images] * len(moving), observe if heat else None) if moving else []
    names = [f"{name}, target {number}" for number in given]
    started = tracker.start([images] * len(given), list(given.values()), names) if given else []
    targets = dict(zip([*moving, *given], [*moved, *started], strict=True))
    seconds = time.perf_counter() - begin
    return Watched(images, dict(sorted(targets.items())), frozenset(given), heats, seconds)


def read_heats(tracker: Tracker, crops: Ordered[tuple[np.ndarray, Crop]], prediction: Any) -> list[Heat]:
    """The score maps of one pass, one for each crop; none where the network makes none."""
    maps = tracker.model.score_map(prediction)
    if maps is None:
        return []
    heats = []
    for (around, crop), scores in zip(crops, maps.float().cpu().numpy(), strict=True):
        side = crop.image.shape[0] / crop.scale
        corner = around[:2] + around[2:] / 2 - side / 2
        heats.append(Heat(scores, np.array([*corner, side, side])))
    return heats
