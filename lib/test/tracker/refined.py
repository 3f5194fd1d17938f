"""A tracker whose boxes are made more precise in every frame by a refiner, as in Alpha-Refine (CVPR 2021)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...core.frame import Frame, Images, Streams
from ...core.target import Target
from .protocol import Observer, Tracker, read_frame


class Refiner(Protocol):
    """Makes boxes more precise. It stores nothing about any target; `begin` returns what is to be kept."""

    @property
    def streams(self) -> Streams:
        """The images of a frame that it reads."""

    def begin(self, frames: Sequence[Frame], targets: Sequence[Target]) -> list[Any]:
        """The memory of each new target, from its first frame and box."""

    def refine(self, memories: Sequence[Any], frames: Sequence[Frame], targets: Sequence[Target]) -> list[np.ndarray]:
        """More precise boxes ([4] xywh, pixels) of targets that the tracker found in these frames."""


class _State(NamedTuple):
    base: Target  # the base tracker's target
    memory: Any  # of the refiner


class Refined:
    """A base tracker with a refiner. Every box is refined, and the base tracker continues from the refined box. When it
    learns from a frame, it uses its own box."""

    def __init__(self, base: Tracker, refiner: Refiner):
        self.base, self.refiner = base, refiner

    @property
    def streams(self) -> Streams:
        """Those of the two that are more; the base tracker's where they are equally many."""
        return max(self.base.streams, self.refiner.streams, key=lambda streams: streams.modalities)

    def start(
        self, frames: Sequence[Images | Frame], boxes: Sequence[np.ndarray], names: Sequence[str] = ()
    ) -> list[Target]:
        """As `Tracker.start`; first boxes are not refined."""
        targets = self.base.start(frames, boxes, names)
        memories = self.refiner.begin(self._frames(self.refiner, targets, frames), targets)
        pairs = zip(targets, memories, strict=True)
        return [replace(target, state=_State(target, memory)) for target, memory in pairs]

    def track(
        self, targets: Sequence[Target], frames: Sequence[Images | Frame], observe: Observer | None = None
    ) -> list[Target]:
        """As `Tracker.track`. A target that was not found is not refined."""
        moved = self.base.track([target.state.base for target in targets], frames, observe)
        memories = [target.state.memory for target in targets]
        found = [place for place, target in enumerate(moved) if target.found]
        chosen = [moved[place] for place in found]
        read = self._frames(self.refiner, chosen, [frames[place] for place in found])
        boxes = self.refiner.refine([memories[place] for place in found], read, chosen) if found else []
        for place, target in zip(found, self.base.correct(chosen, boxes), strict=True):
            moved[place] = target
        return [replace(target, state=_State(target, memory)) for target, memory in zip(moved, memories, strict=True)]

    def correct(self, targets: Sequence[Target], boxes: Sequence[np.ndarray]) -> list[Target]:
        """As `Tracker.correct`."""
        corrected = self.base.correct([target.state.base for target in targets], boxes)
        pairs = zip(corrected, targets, strict=True)
        return [replace(target, state=_State(target, before.state.memory)) for target, before in pairs]

    def reduction(self, target: Target) -> int:
        """1: a refiner needs the full frame."""
        return 1

    @staticmethod
    def _frames(reader: Refiner, targets: Sequence[Target], frames: Sequence[Images | Frame]) -> list[Frame]:
        named = zip(targets, frames, strict=True)
        return [read_frame(images, reader.streams, target.name) for target, images in named]


class Identity:
    """The refiner that changes nothing."""

    streams = Streams(1)

    def begin(self, frames: Sequence[Frame], targets: Sequence[Target]) -> list[Any]:
        """Nothing is kept."""
        return [None] * len(targets)

    def refine(self, memories: Sequence[Any], frames: Sequence[Frame], targets: Sequence[Target]) -> list[np.ndarray]:
        """The boxes as they are."""
        return [target.box for target in targets]
