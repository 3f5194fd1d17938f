"""Views: the conversion between the pixels of a frame and the input of a network.

A view is a rectangle of a frame that is resized to the input size of a network. A method decides where views lie. The
crops (cut on the CPU or on the device) and the conversion of boxes follow from the view alone.
S side of a crop, C channels of all modalities together.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .errors import InputError
from .rounding import round_half_up

MARGIN = 10  # pixels of width and height of every tracked box that stay inside the frame
BLACK = np.zeros(1, np.uint8)
#: Sizes of crops with context since SiamFC: side of a template, and of the larger crop that training samples from.
EXEMPLAR, INTERMEDIATE = 127, 511
CONTEXT = 0.5  # share of (w + h) that is added to width and height of the target in these crops


@dataclass(frozen=True, eq=False)
class View:
    """The place of a crop in its frame. Crop units: 1 is the width (height) of the crop."""

    around: np.ndarray  # [4] xywh, frame pixels: the box that the view is centred on
    corner: tuple[int, int]  # first column and row of the view; may lie outside the frame
    extent: tuple[int, int]  # width and height of the view, frame pixels
    size: tuple[int, int]  # width and height of the network's input, pixels
    scale: tuple[float, float]  # crop pixels per frame pixel in x and y, for boxes
    fill: np.ndarray | None  # [C] or [1] uint8, colour of the padding; None: the frame's border is repeated
    blind: int = 0  # number of last columns and rows of the frame that count as outside
    others: tuple[tuple[int, int], ...] = ()  # corners in the images behind the first, where they differ from `corner`

    def of(self, image: int) -> "View":
        """The view of one image of the frame: its corner and its padding colour alone."""
        corner = self.others[image - 1] if image and self.others else self.corner
        fill = self.fill if self.fill is None or self.fill.size == 1 else self.fill[3 * image : 3 * image + 3]
        return replace(self, corner=corner, fill=fill, others=())

    def lines(self, frame: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The rows and columns of a frame of this height and width that the crop is resized from, where the frame's
        border is repeated."""
        (x, y), (width, height) = self.corner, self.extent
        rows = np.clip(np.arange(y, y + height), 0, frame[0] - 1 - self.blind)
        return rows, np.clip(np.arange(x, x + width), 0, frame[1] - 1 - self.blind)

    def to_crop(self, box: np.ndarray) -> np.ndarray:
        """A frame box in crop units: [4] xywh pixels -> [4] xywh.

        The centre of the crop is (size - 1) / 2 in crop pixels, as in the training code of OSTrack.
        """
        box, around = np.asarray(box, np.float64), np.asarray(self.around, np.float64)
        size, scale = np.array(self.size), np.array(self.scale)
        centre = (size - 1) / 2 + (box[:2] + box[2:] / 2 - around[:2] - around[2:] / 2) * scale
        extent = box[2:] * scale
        return np.concatenate([(centre - extent / 2) / size, extent / size])

    def to_frame(self, box: np.ndarray) -> np.ndarray:
        """A network's box in the frame: [4] cxcywh in crop units -> [4] xywh pixels.

        The centre of the crop is size / 2 here. OSTrack's tracking code differs from its training code by half a crop
        pixel, and published results contain this difference.
        """
        size, scale = np.array(self.size), np.array(self.scale)
        box = np.asarray(box, np.float64) * np.tile(size / scale, 2)
        centre = box[:2] + self.around[:2] + 0.5 * self.around[2:] - 0.5 * size / scale
        return np.concatenate([centre - 0.5 * box[2:], box[2:]])

    @property
    def prior(self) -> np.ndarray:
        """Width and height of `around` in crop units: [2]."""
        return self.around[2:] * np.array(self.scale) / np.array(self.size)

    @property
    def region(self) -> np.ndarray:
        """The area from crop units 0 to 1 as `to_frame` converts it: [4] xywh, frame pixels."""
        extent = np.array(self.size) / np.array(self.scale)
        return np.concatenate([self.around[:2] + self.around[2:] / 2 - extent / 2, extent])

    def outside(self, frame: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Number of rows and columns of the view outside a frame of this height and width: top, bottom, left, right.
        Each is at most the size of the view."""
        parts: list[int] = []
        for start, extent, end in zip(self.corner[::-1], self.extent[::-1], frame, strict=True):
            parts += [min(max(0, -start), extent), min(max(0, start + extent - end + self.blind), extent)]
        top, bottom, left, right = parts
        return top, bottom, left, right


def place_square(box: np.ndarray, factor: float, size: int, frame: tuple[int, int], fill: np.ndarray = BLACK) -> View:
    """The square of side ceil(sqrt(w h) * factor) around a box (xywh, pixels), as `sample_target` of the OSTrack code
    base cuts it; every public checkpoint was trained with it.

    frame: height and width of the image; fill: [C] or [1] uint8. The public code blanks the last column and row of the
    image where the square reaches them; `blind` reproduces this. Raises InputError when the box has no area or its
    square lies completely outside the image.
    """
    x, y, w, h = (float(value) for value in box)
    if not (math.isfinite(x) and math.isfinite(y) and w > 0 and h > 0 and w * h < math.inf):
        raise InputError(f"box x={x:g} y={y:g} w={w:g} h={h:g} has no area: width and height must be above 0 pixels")
    side = math.ceil(math.sqrt(w * h) * factor)
    corner = round(x + 0.5 * w - side * 0.5), round(y + 0.5 * h - side * 0.5)
    scale = size / side
    view = View(box, corner, (side, side), (size, size), (scale, scale), fill, blind=1)
    top, bottom, left, right = view.outside(frame)
    if left + right >= side or top + bottom >= side:
        raise InputError(
            f"box x={x:g} y={y:g} w={w:g} h={h:g} lies wholly outside its {frame[1]}x{frame[0]} image: "
            "check the box and the image size"
        )
    return view


def place_stretched(
    box: np.ndarray,
    factor: float,
    size: int,
    fill: np.ndarray | None,
    *,
    rounding: Callable[[np.ndarray], np.ndarray] = np.rint,
    blind: int = 0,
) -> View:
    """A rectangle around a box (xywh, pixels), `factor` times as wide and as high, that fills a square crop: width and
    height have different scales (FEAR, Alpha-Refine). It may lie completely outside the image. rounding: of its width
    and height."""
    extent = np.maximum(rounding(box[2:] * factor), 1).astype(int)
    corner = np.rint(box[:2] + box[2:] / 2 - extent / 2).astype(int)
    scale = size / extent
    return View(
        box, (int(corner[0]), int(corner[1])), (int(extent[0]), int(extent[1])), (size, size),
        (float(scale[0]), float(scale[1])), fill, blind,
    )  # fmt: skip


def place_with_context(box: np.ndarray, side: float, size: int, scale: float, fill: np.ndarray | None) -> View:
    """The square of `side` pixels around a box (xywh, pixels), as trackers after SiamFC cut it (DaSiamRPN).

    scale: crop pixels per frame pixel, for boxes. The square may lie completely outside the image.
    """
    whole = round_half_up(side)
    left, top = (round_half_up(float(value) - (whole + 1) / 2) for value in box[:2] + box[2:] / 2)
    return View(box, (left, top), (whole, whole), (size, size), (scale, scale), fill)


def context_side(box: np.ndarray, context: float = CONTEXT) -> float:
    """Side of the square of a box and its context: [4] xywh pixels -> sqrt((w + p) (h + p)), p = context * (w + h)."""
    pad = context * (box[2] + box[3])
    return math.sqrt((box[2] + pad) * (box[3] + pad))


def mean_colour(image: np.ndarray) -> np.ndarray:
    """The mean of each channel, rounded down to a whole number: [H, W, C] uint8 -> [C] uint8."""
    return image.mean(axis=(0, 1)).astype(np.uint8)
