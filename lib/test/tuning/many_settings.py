"""One network that tracks with many settings at once."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Many
from pathlib import Path

import numpy as np
from easydict import EasyDict

from ...core.frame import Frame, Images
from ...core.target import Target
from ...models import build_method
from ...models.base import Network
from ..evaluation.open import load_network
from ..tracker.crop_tracker import CropTracker
from ..tracker.protocol import Observer


class ManySettings:
    """A tracker that uses one network with many settings. A target's trial is the part of its name before `/`.

    Each trial has a method of its own; all share the network.
    """

    def __init__(self, network: Network, configs: Mapping[str, EasyDict], device: str):
        self._trackers = {trial: CropTracker(build_method(network, cfg), device) for trial, cfg in configs.items()}
        self.streams = next(iter(self._trackers.values())).streams

    def start(self, frames: Many[Images | Frame], boxes: Many[np.ndarray], names: Many[str] = ()) -> list[Target]:
        """As `Tracker.start`; every name begins with a trial."""

        def begin(tracker: CropTracker, at: list[int]) -> list[Target]:
            return tracker.start([frames[k] for k in at], [boxes[k] for k in at], [names[k] for k in at])

        return self._apart(names, begin)

    def track(
        self, targets: Many[Target], frames: Many[Images | Frame], observe: Observer | None = None
    ) -> list[Target]:
        """As `Tracker.track`; targets of one trial share their forward passes."""

        def move(tracker: CropTracker, at: list[int]) -> list[Target]:
            return tracker.track([targets[k] for k in at], [frames[k] for k in at], observe)

        return self._apart([target.name for target in targets], move)

    def correct(self, targets: Many[Target], boxes: Many[np.ndarray]) -> list[Target]:
        """As `Tracker.correct`."""

        def place(tracker: CropTracker, at: list[int]) -> list[Target]:
            return tracker.correct([targets[k] for k in at], [boxes[k] for k in at])

        return self._apart([target.name for target in targets], place)

    def reduction(self, target: Target) -> int:
        """As `Tracker.reduction`."""
        return self._trackers[trial_of(target.name)].reduction(target)

    def _apart(self, names: Iterable[str], work: Callable[[CropTracker, list[int]], list[Target]]) -> list[Target]:
        """Runs `work` for each trial with its own tracker and the indices of its targets; returns all targets in
        order."""
        places: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            places.setdefault(trial_of(name), []).append(index)
        done = {
            index: target
            for trial, at in places.items()
            for index, target in zip(at, work(self._trackers[trial], at), strict=True)
        }
        return [done[index] for index in range(len(done))]


def trial_of(name: str) -> str:
    """The trial of a target's name.

    >>> trial_of("0123456789/walk")
    '0123456789'
    """
    return name.partition("/")[0]


def load_settings(configs: Mapping[str, EasyDict], checkpoint: Path, device: str) -> ManySettings:
    """The network of a checkpoint with many settings. Raises InputError as `load_network`."""
    return ManySettings(load_network(next(iter(configs.values())), checkpoint), configs, device)
