"""A tracker whose boxes are made more precise in every frame by a refiner, as in Alpha-Refine (CVPR 2021)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...core.boxes import clip_corners
from ...core.frame import VISIBLE, Frame, Images, Streams
from ...core.target import Target
from ...core.target_mask import PixelMask
from .protocol import Observer, Tracker, read_frame


class Better(NamedTuple):
    """What a refiner says about a target."""

    box: np.ndarray  # [4] xywh, pixels; may reach beyond the frame
    mask: PixelMask | None = None


class Refiner(Protocol):
    """Makes boxes more precise. It stores nothing about any target; `begin` returns what is to be kept."""

    @property
    def streams(self) -> Streams:
        """The images of a frame that it reads."""

    @property
    def writes_back(self) -> bool:
        """Whether the base tracker is to continue from the refined boxes."""

    @property
    def back_shift(self) -> float:
        """Pixels by which these boxes are shifted right and down for the base tracker."""

    def begin(self, frames: Sequence[Frame], targets: Sequence[Target]) -> list[Any]:
        """The memory of each new target, from its first frame and box."""

    def refine(self, memories: Sequence[Any], frames: Sequence[Frame], targets: Sequence[Target]) -> list[Better]:
        """More precise boxes of targets in these frames; a box that cannot be refined is returned as it is."""

    def segment(
        self, memories: Sequence[Any], frames: Sequence[Frame], targets: Sequence[Target]
    ) -> list[PixelMask | None]:
        """The masks of targets whose boxes are right, from refiners that are asked for masks; None from others."""


class _State(NamedTuple):
    base: Target  # the base tracker's target
    memory: Any  # of the refiner


class Refined:
    """A base tracker with a refiner. Every box is refined, and the base tracker continues from the refined box, clipped
    to the frame, if both the refiner and the base tracker allow it. When the base learns from a frame, it uses its own
    box."""

    def __init__(self, base: Tracker, refiner: Refiner):
        self.base, self.refiner = base, refiner

    @property
    def streams(self) -> Streams:
        """Those that the two read together."""
        return join_streams(self.base.streams, self.refiner.streams)

    @property
    def corrects(self) -> bool:
        """As the base tracker's."""
        return self.base.corrects

    def start(
        self, frames: Sequence[Images | Frame], boxes: Sequence[np.ndarray], names: Sequence[str] = ()
    ) -> list[Target]:
        """As `Tracker.start`; first boxes are not refined."""
        targets = self.base.start(self._whole(frames, names), boxes, names)
        read = self._frames(targets, frames)
        memories = self.refiner.begin(read, targets)
        masks = self.refiner.segment(memories, read, targets)
        parts = zip(targets, memories, masks, strict=True)
        return [replace(target, mask=mask, state=_State(target, memory)) for target, memory, mask in parts]

    def track(
        self, targets: Sequence[Target], frames: Sequence[Images | Frame], observe: Observer | None = None
    ) -> list[Target]:
        """As `Tracker.track`. A target that was not found is not refined."""
        whole = self._whole(frames, [target.name for target in targets])
        moved = self.base.track([target.state.base for target in targets], whole, observe)
        memories = [target.state.memory for target in targets]
        found = [place for place, target in enumerate(moved) if target.found]
        chosen = [moved[place] for place in found]
        read = self._frames(chosen, [frames[place] for place in found])
        better = self.refiner.refine([memories[place] for place in found], read, chosen) if found else []
        shown = [replace(target, mask=None, corners=None) for target in moved]
        for place, says in zip(found, better, strict=True):
            shown[place] = replace(shown[place], box=says.box, mask=says.mask)
        if self.refiner.writes_back and self.base.corrects:
            shift = np.array([self.refiner.back_shift] * 2 + [0, 0])
            inside = [clip_corners(says.box, *frame.size) + shift for says, frame in zip(better, read, strict=True)]
            for place, target in zip(found, self.base.correct(chosen, inside), strict=True):
                moved[place] = target
        parts = zip(shown, moved, memories, strict=True)
        return [replace(target, state=_State(base, memory)) for target, base, memory in parts]

    def correct(self, targets: Sequence[Target], boxes: Sequence[np.ndarray]) -> list[Target]:
        """As `Tracker.correct`."""
        corrected = self.base.correct([target.state.base for target in targets], boxes)
        pairs = zip(corrected, targets, strict=True)
        return [replace(target, state=_State(target, before.state.memory)) for target, before in pairs]

    def reduction(self, target: Target) -> int:
        """1: a refiner needs the full frame."""
        return 1

    def _whole(self, frames: Sequence[Images | Frame], names: Sequence[str]) -> list[Images | Frame]:
        """The frames as the base tracker reads them, where both read other streams."""
        own = self.base.streams
        if own == self.streams:
            return list(frames)
        named = list(names) or [f"target {index}" for index in range(len(frames))]
        return [read_frame(images, own, name) for images, name in zip(frames, named, strict=True)]

    def _frames(self, targets: Sequence[Target], frames: Sequence[Images | Frame]) -> list[Frame]:
        named = zip(targets, frames, strict=True)
        return [read_frame(images, self.refiner.streams, target.name) for target, images in named]


def join_streams(base: Streams, refiner: Streams) -> Streams:
    """The images that a base tracker and its refiner read together: both cameras where the two read different ones.

    >>> join_streams(Streams(1), Streams(1, single="infrared")).modalities
    2
    """
    if base.modalities == refiner.modalities == 1 and base.single != refiner.single:
        return base._replace(modalities=2, single=VISIBLE)
    more = max(base, refiner, key=lambda streams: streams.modalities)
    return more._replace(own_boxes=base.own_boxes)


class Identity:
    """The refiner that changes nothing."""

    streams = Streams(1)
    writes_back = True
    back_shift = 0.0

    def begin(self, frames: Sequence[Frame], targets: Sequence[Target]) -> list[Any]:
        """Nothing is kept."""
        return [None] * len(targets)

    def refine(self, memories: Sequence[Any], frames: Sequence[Frame], targets: Sequence[Target]) -> list[Better]:
        """The boxes as they are."""
        return [Better(target.box) for target in targets]

    def segment(
        self, memories: Sequence[Any], frames: Sequence[Frame], targets: Sequence[Target]
    ) -> list[PixelMask | None]:
        """None."""
        return [None] * len(targets)
