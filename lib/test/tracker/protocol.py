"""What evaluation, demos, VOT, tuning and the Python package need of a tracker, whatever it does inside."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from ...core.boxes import xywh_to_xyxy
from ...core.errors import InputError
from ...core.frame import Frame, Images
from ...core.target import Target
from ...core.view import View
from ...datasets.sequence import pick_modalities


class HeatMap(NamedTuple):
    """How likely a target is where in its frame."""

    scores: np.ndarray  # [n, n] in [0, 1]
    region: np.ndarray  # [4] xywh, pixels of the frame that the cells cover; may leave it


#: Shown each forward pass: its targets, the views that each was searched in, and the score map of each one's first view
#: (None where the network makes none).
Observer = Callable[[Sequence[Target], Sequence[Sequence[View]], Sequence[HeatMap | None]], None]


class Tracker(Protocol):
    """Follows any number of targets, each in frames of its own. All state is in the targets."""

    @property
    def modalities(self) -> int:
        """How many images of a frame it reads: 1 (visible) or 2 (visible and infrared)."""

    def start(
        self, frames: Sequence[Images | Frame], boxes: Sequence[np.ndarray], names: Sequence[str] = ()
    ) -> list[Target]:
        """New targets, one per frame and box (xywh, pixels); `names` is what error messages call them.

        Raises InputError, which names the target, for a box without area or outside its image.
        """

    def track(
        self, targets: Sequence[Target], frames: Sequence[Images | Frame], observe: Observer | None = None
    ) -> list[Target]:
        """The targets in their next frames; `frames[k]` belongs to `targets[k]`. Each gets the box it gets alone."""

    def correct(self, targets: Sequence[Target], boxes: Sequence[np.ndarray]) -> list[Target]:
        """The targets with other boxes (xywh, pixels) in the frame where they are: the next search starts there. What
        was learned of them stays."""

    def reduction(self, target: Target) -> int:
        """How much smaller the target's next frame may be decoded: 1, 2, 4 or 8."""


def read_frame(
    images: Images | Frame, modalities: int, name: str, whole: tuple[int, int] | None = None, reduction: int = 1
) -> Frame:
    """A frame as a tracker of so many modalities reads it. whole: height and width of a frame whose images are reduced.

    Raises InputError, which names the target, for modalities of different size.
    """
    if isinstance(images, Frame):
        return replace(images, images=images.images[:modalities])
    picked = pick_modalities(images, modalities, name)
    height, width = picked[0].shape[:2]
    return Frame(picked, whole or (height, width), reduction)


def check_first_box(box: np.ndarray, size: tuple[int, int], name: str) -> None:
    """Raises InputError, which names the target, for a box (xywh, pixels) without area or outside a frame of this
    height and width."""
    text = "x={:g} y={:g} w={:g} h={:g}".format(*box)
    if not (np.isfinite(box).all() and box[2] > 0 and box[3] > 0):
        raise InputError(f"{name}: first box {text} has no area; width and height must be above 0 pixels")
    height, width = size
    x1, y1, x2, y2 = xywh_to_xyxy(box)
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        raise InputError(f"{name}: first box {text} lies outside its {width}x{height} image; check the box")


def name_targets(names: Sequence[str], count: int) -> list[str]:
    """The names that were given, or one for each target."""
    return list(names) if names else [f"target {index}" for index in range(count)]
