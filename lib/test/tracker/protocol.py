"""The interface of all trackers, as evaluation, demos, VOT, tuning and the Python package use it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from ...core.boxes import xywh_to_xyxy
from ...core.errors import InputError
from ...core.frame import Frame, Images, Streams
from ...core.target import Target
from ...core.view import View
from ...datasets.readings import other_reading
from ...datasets.sequence import pick_modalities

log = logging.getLogger(__name__)


class HeatMap(NamedTuple):
    """A score map placed in its frame: how likely the target is at each place."""

    scores: np.ndarray  # [n, n] in [0, 1]
    region: np.ndarray  # [4] xywh, frame pixels: the area of all cells; may extend beyond the frame


#: Called after each forward pass with its targets, the views of each target, and the heat map of each target's first
#: view (None for networks without a score map).
Observer = Callable[[Sequence[Target], Sequence[Sequence[View]], Sequence[HeatMap | None]], None]


class Tracker(Protocol):
    """Follows any number of targets, each in its own frames. All state is in the targets."""

    @property
    def streams(self) -> Streams:
        """The images of a frame that it reads."""

    @property
    def corrects(self) -> bool:
        """Whether it can go on from other boxes (`correct`)."""

    def start(
        self, frames: Sequence[Images | Frame], boxes: Sequence[np.ndarray], names: Sequence[str] = ()
    ) -> list[Target]:
        """New targets, one per frame and box (xywh, pixels; [M, 4] where `streams.own_boxes`); error messages use
        `names`.

        Raises InputError, which names the target, for a box without area or outside its image.
        """

    def track(
        self, targets: Sequence[Target], frames: Sequence[Images | Frame], observe: Observer | None = None
    ) -> list[Target]:
        """The targets in their next frames; `frames[k]` belongs to `targets[k]`. Each gets the same box as if it were
        tracked alone."""

    def correct(self, targets: Sequence[Target], boxes: Sequence[np.ndarray]) -> list[Target]:
        """The targets with other boxes (xywh, pixels) for the current frame. The next search starts from these boxes;
        what was learned stays."""

    def reduction(self, target: Target) -> int:
        """The factor by which the target's next frame may be decoded smaller: 1, 2, 4 or 8."""


def read_frame(
    images: Images | Frame, streams: Streams, name: str, whole: tuple[int, int] | None = None, reduction: int = 1
) -> Frame:
    """A frame with the images that a tracker reads. whole: height and width of the full frame where images are reduced.

    Raises InputError, which names the target, for modalities of different size.
    """
    if isinstance(images, Frame):
        return replace(images, images=pick_modalities(images.images, streams, name))
    picked = pick_modalities(images, streams, name)
    height, width = picked[0].shape[:2]
    return Frame(picked, whole or (height, width), reduction)


FARTHEST = 1 << 16  # pixels; no image is wider
LARGEST = 2  # width and height of a box in those of its frame


def check_box(box: np.ndarray, name: str, what: str = "box") -> None:
    """Raises InputError, which names the target, for a box (xywh, pixels) without area or larger than any image."""
    text = "x={:g} y={:g} w={:g} h={:g}".format(*box)
    if not (np.isfinite(box).all() and box[2] > 0 and box[3] > 0):
        raise InputError(f"{name}: {what} {text} has no area; width and height must be above 0 pixels")
    if np.abs(box).max() > FARTHEST:
        raise InputError(f"{name}: {what} {text} is beyond any image; give pixels, at most {FARTHEST}")


def is_too_large(box: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether a box is more than LARGEST times as wide or high as a frame of this height and width."""
    return bool((box[2:] > LARGEST * np.array(size[::-1])).any())


def check_first_box(box: np.ndarray, size: tuple[int, int], name: str) -> None:
    """Raises InputError as `check_box`, and for a box outside a frame of this height and width, or much larger."""
    check_box(box, name, "first box")
    text = "x={:g} y={:g} w={:g} h={:g}".format(*box)
    height, width = size
    x1, y1, x2, y2 = xywh_to_xyxy(box)
    looks = _say_other_reading(box, (width, height))
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        raise InputError(
            f"{name}: first box {text} lies outside its {width}x{height} image; {looks or 'check the box'}"
        )
    if is_too_large(box, size):
        raise InputError(
            f"{name}: first box {text} is more than {LARGEST} times as large as its {width}x{height} image; check "
            "the box: x y width height in pixels"
        )
    if looks:
        shown = ",".join(f"{value:g}" for value in box)
        log.warning("%s: first box %s sticks out of its %dx%d image and %s", name, shown, width, height, looks)


def _say_other_reading(box: np.ndarray, size: tuple[int, int]) -> str:
    """What a box looks like that fits its image of (width, height) better in another reading; "" for others."""
    other = other_reading(box[None], size)
    if other is None:
        return ""
    shown = ",".join(f"{value:g}" for value in other.boxes[0].round(2))
    return f"looks like {other.words}; if it is, give x,y,w,h: {shown}"


def name_targets(names: Sequence[str], count: int) -> list[str]:
    """The names that were given, or one for each target."""
    return list(names) if names else [f"target {index}" for index in range(count)]
