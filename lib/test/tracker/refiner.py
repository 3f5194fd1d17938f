"""A network as the refiner of another tracker's boxes: Alpha-Refine (CVPR 2021)."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ...core.frame import Frame, Streams
from ...core.target import Target
from ...core.target_mask import PixelMask
from .crop_tracker import CropTracker
from .protocol import is_too_large
from .refined import Better


class RefiningMethod(Protocol):
    """What a refiner asks of its method besides `lib.models.method.Method`."""

    rounds: int  # times that a box is refined in a frame
    writes_back: bool  # as `Refiner.writes_back`
    back_shift: float  # as `Refiner.back_shift`
    masks: bool  # whether answers have masks


class CropRefiner:
    """A tracker that looks only around the boxes that it is given. `Refiner` documents the methods.

    Its memory of a target is its own `Target`. All targets of a frame are refined in one pass.
    """

    def __init__(self, tracker: CropTracker, method: RefiningMethod):
        """method: the tracker's."""
        self.tracker, self.method = tracker, method

    @property
    def streams(self) -> Streams:
        """As the tracker's."""
        return self.tracker.streams

    @property
    def writes_back(self) -> bool:
        """As the method says."""
        return self.method.writes_back

    @property
    def back_shift(self) -> float:
        """As the method says."""
        return self.method.back_shift

    def begin(self, frames: Sequence[Frame], targets: Sequence[Target]) -> list[Any]:
        """The tracker's targets."""
        return self.tracker.start(frames, [target.box for target in targets], [target.name for target in targets])

    def refine(self, memories: Sequence[Any], frames: Sequence[Frame], targets: Sequence[Target]) -> list[Better]:
        """As often as the method says. A box outside its frame, or much larger, and an answer that is not finite leave
        the box as it was."""
        better = [Better(target.box) for target in targets]
        usable = [k for k, target in enumerate(targets) if _is_usable(target.box, frames[k].size)]
        moving = [memories[k] for k in usable]
        for _ in range(self.method.rounds):
            if not usable:
                break
            placed = self.tracker.correct(moving, [better[k].box for k in usable])
            moved = self.tracker.track(placed, [frames[k] for k in usable])
            for k, target in zip(usable, moved, strict=True):
                better[k] = Better(target.box, target.mask) if target.found else better[k]
        return better

    def segment(
        self, memories: Sequence[Any], frames: Sequence[Frame], targets: Sequence[Target]
    ) -> list[PixelMask | None]:
        """The masks of the crops around the targets' own boxes."""
        if not self.method.masks:
            return [None] * len(targets)
        placed = self.tracker.correct(memories, [target.box for target in targets])
        return [target.mask for target in self.tracker.track(placed, frames)]


def _is_usable(box: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether a box has an area, lies at least partly in a frame of this height and width, and is not much larger."""
    if not np.isfinite(box).all() or not (box[2:] > 0).all() or is_too_large(box, size):
        return False
    return bool((box[:2] < size[::-1]).all() and (box[:2] + box[2:] > 0).all())
