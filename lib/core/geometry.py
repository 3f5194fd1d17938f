"""How a tracker looks at a frame: which square it cuts out, and where an answer in crop units lies in the frame.

S side of a crop as the network sees it, pixels; C channels of all modalities together.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from .boxes import clip_box
from .crop import NO_PADDING, Crop, box_to_frame, cut_target, place_square
from .rounding import round_half_up

MARGIN = 10  # pixels of every box that stay inside the image


class Window(NamedTuple):
    """The square of a frame that a search region shows, frame pixels."""

    left: int
    top: int
    side: int
    scale: float  # crop pixels per frame pixel, of boxes
    blind: int  # so many last columns and rows of the image count as outside it


@dataclass(frozen=True)
class Geometry(ABC):
    """The crops of one kind of tracker."""

    template_size: int  # S of the template
    search_size: int  # S of the usual search region

    calibrates = False  # whether the tracker is to learn in the first frame by what it overrates sizes

    def settle_size(self, size: np.ndarray, prior: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """The size that is believed: width and height from the network, before, and by what it overrates them, all
        [2] in units of the crop."""
        return size

    def fill(self, image: np.ndarray) -> np.ndarray:
        """The colour outside the image, from the first frame: [H, W, C] uint8 -> [C] uint8."""
        return np.zeros(image.shape[2], np.uint8)

    def first_search_size(self, image: np.ndarray, box: np.ndarray) -> int:
        """S of the usual search region of a target: image [H, W, C], first box [4] xywh pixels."""
        return self.search_size

    @abstractmethod
    def template(self, image: np.ndarray, box: np.ndarray, fill: np.ndarray) -> Crop:
        """The template of a first box (xywh, pixels). Raises InputError when the box does not show in the image."""

    @abstractmethod
    def search(self, image: np.ndarray, box: np.ndarray, fill: np.ndarray, size: int) -> Crop:
        """The search region around the last box (xywh, pixels), `size` pixels as the network sees it, at the usual
        scale: twice the size is twice the region. Raises InputError when it lies wholly outside the image."""

    @abstractmethod
    def window(self, box: np.ndarray, size: int, frame: tuple[int, int]) -> Window:
        """What `search` shows in a frame of this height and width. Raises InputError as it does."""

    @abstractmethod
    def search_side(self, box: np.ndarray, size: int) -> float:
        """Side of that window, frame pixels."""

    @abstractmethod
    def clip(self, box: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """The box (xywh, pixels) kept at a frame of this height and width."""

    def to_frame(self, box: np.ndarray, around: np.ndarray, scale: float, size: int) -> np.ndarray:
        """A network's box in the frame: [4] cxcywh, 1 = crop side -> [4] xywh pixels. around: what was cut around;
        scale: as Crop's; size: S of the crop."""
        return box_to_frame(box, around, scale, size)


@dataclass(frozen=True)
class FamilyGeometry(Geometry):
    """Of the OSTrack family: squares of factor * sqrt(w h), zeros outside the image."""

    template_factor: float
    search_factor: float
    calibrates: bool = False
    size_rate: float = 1.0  # the power of a change of size that is believed

    def settle_size(self, size: np.ndarray, prior: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """Without the bias, changed by as much as `size_rate` allows; as it is where neither is asked for.

        Corners in the wrong order, which a CORNER head can give, count as no size at all.
        """
        if not self.calibrates and self.size_rate == 1:
            return size
        return prior * (np.maximum(size, 0) / bias / prior) ** self.size_rate

    def template(self, image: np.ndarray, box: np.ndarray, fill: np.ndarray) -> Crop:
        """Side template_factor * sqrt(w h)."""
        return cut_target(image, box, self.template_factor, self.template_size)

    def search(self, image: np.ndarray, box: np.ndarray, fill: np.ndarray, size: int) -> Crop:
        """Side search_factor * sqrt(w h) for the usual size."""
        return cut_target(image, box, self.search_factor * size / self.search_size, size)

    def window(self, box: np.ndarray, size: int, frame: tuple[int, int]) -> Window:
        """The family does not show the last column and row."""
        square = place_square(box, self.search_factor * size / self.search_size, frame)
        return Window(square.left, square.top, square.side, size / square.side, 1)

    def search_side(self, box: np.ndarray, size: int) -> float:
        """Before it is rounded up."""
        return math.sqrt(box[2] * box[3]) * self.search_factor * size / self.search_size

    def clip(self, box: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """Corners stay inside."""
        return clip_box(box, *frame, margin=MARGIN)


@dataclass(frozen=True)
class ContextGeometry(Geometry):
    """Of the SiamFC family: the target and its context, padded with the mean colour of the first frame (DaSiamRPN).

    A target that covers less than `small_share` of its first frame is searched at `small_size`.
    """

    context: float = 0.5  # of (w + h) added to both sides
    small_share: float = 0.0  # of the frame's area; 0: no target is small
    small_size: int = 287

    def fill(self, image: np.ndarray) -> np.ndarray:
        """The mean of each channel, cut to a whole number."""
        return image.mean(axis=(0, 1)).astype(np.uint8)

    def first_search_size(self, image: np.ndarray, box: np.ndarray) -> int:
        """`small_size` for small targets."""
        height, width = image.shape[:2]
        small = float(box[2]) * float(box[3]) < self.small_share * height * width
        return self.small_size if small else self.search_size

    def side(self, box: np.ndarray) -> float:
        """Side of the template's square in the frame: [4] xywh pixels -> sqrt((w + p) (h + p)), p the context."""
        pad = self.context * (box[2] + box[3])
        return math.sqrt((box[2] + pad) * (box[3] + pad))

    def template(self, image: np.ndarray, box: np.ndarray, fill: np.ndarray) -> Crop:
        """The target with its context."""
        side = round_half_up(self.side(box))
        pixels = cut_square(image, box[:2] + box[2:] / 2, side, self.template_size, fill)
        return Crop(pixels, self.template_size / side, NO_PADDING)

    def search(self, image: np.ndarray, box: np.ndarray, fill: np.ndarray, size: int) -> Crop:
        """At the scale of the template of `box`."""
        side = self.side(box)
        around = round_half_up(side * size / self.template_size)
        pixels = cut_square(image, box[:2] + box[2:] / 2, around, size, fill)
        return Crop(pixels, self.template_size / side, NO_PADDING)

    def window(self, box: np.ndarray, size: int, frame: tuple[int, int]) -> Window:
        """The whole image is seen."""
        side = self.side(box)
        around = round_half_up(side * size / self.template_size)
        left, top = square_corner(box[:2] + box[2:] / 2, around)
        return Window(left, top, around, self.template_size / side, 0)

    def search_side(self, box: np.ndarray, size: int) -> float:
        """Before it is rounded."""
        return self.side(box) * size / self.template_size

    def clip(self, box: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """The centre stays in the image, each side between MARGIN and the image's."""
        size = np.array(frame[::-1], np.float64)
        centre = np.clip(box[:2] + box[2:] / 2, 0, size)
        extent = np.clip(box[2:], MARGIN, size)
        return np.concatenate([centre - extent / 2, extent])


def cut_square(image: np.ndarray, centre: np.ndarray, side: int, size: int, fill: np.ndarray) -> np.ndarray:
    """The square of `side` pixels around a point, `fill` outside the image, resized bilinearly to `size`.

    image: [H, W, C] uint8; centre: [2] x y; fill: [C]. Returns [size, size, C] uint8. The square may lie wholly
    outside the image.
    """
    height, width = image.shape[:2]
    x1, y1 = square_corner(centre, side)
    left, top = (min(max(0, -start), side) for start in (x1, y1))
    right, bottom = (min(max(0, start + side - end), side) for start, end in ((x1, width), (y1, height)))
    if left + right >= side or top + bottom >= side:
        return np.tile(fill.astype(np.uint8), (size, size, 1))
    square = image[y1 + top : y1 + side - bottom, x1 + left : x1 + side - right]
    if left or top or right or bottom:
        padded = np.empty((side, side, image.shape[2]), np.uint8)
        padded[:] = fill
        padded[top : side - bottom, left : side - right] = square
        square = padded
    return square if side == size else cv2.resize(square, (size, size), interpolation=cv2.INTER_LINEAR)


def square_corner(centre: np.ndarray, side: int) -> tuple[int, int]:
    """First column and row of the square of `side` pixels around a point [2]."""
    left, top = (round_half_up(float(value) - (side + 1) / 2) for value in centre)
    return left, top
