"""The interface of all trackers, as evaluation, demos, VOT, tuning and the Python package use it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from ...core.boxes import xywh_to_xyxy
from ...core.errors import InputError
from ...core.frame import Frame, Images, Streams
from ...core.target import Target
from ...core.view import View
from ...datasets.sequence import pick_modalities


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

    def start(
        self, frames: Sequence[Images | Frame], boxes: Sequence[np.ndarray], names: Sequence[str] = ()
    ) -> list[Target]:
        """New targets, one per frame and box (xywh, pixels); error messages use `names`.

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
