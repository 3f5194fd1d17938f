"""The square crop around a target, and the way from frame pixels to crop units and back.

The geometry of the OSTrack family (`sample_target`), which every public checkpoint was trained with: a square of
side ceil(sqrt(w*h) * factor) around the box centre, zeros outside the image, bilinear resize of the uint8 pixels.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np

from .errors import InputError


class Crop(NamedTuple):
    """A square crop of a frame, resized to the network's input."""

    image: np.ndarray  # [S, S, C] uint8
    scale: float  # crop pixels per frame pixel (S / side of the square in the frame)
    padding: np.ndarray  # [S, S] bool, True where the square leaves the image


class Square(NamedTuple):
    """The square of a frame that a crop shows, pixels."""

    left: int
    top: int
    side: int
    padding: tuple[int, int, int, int]  # rows and columns outside the image: top, bottom, left, right


#: Of crops whose padding nobody asks for.
NO_PADDING = np.zeros((0, 0), bool)


def sample_target(image: np.ndarray, box: np.ndarray, factor: float, size: int) -> Crop:
    """Cut the square of side ceil(sqrt(w*h) * factor) around `box` (xywh, pixels) and resize it to `size`.

    image: [H, W, C] uint8; all channels share the geometry, so both modalities are cut in one call.
    Raises InputError when the box has no area or its square lies wholly outside the image.
    """
    square = place_square(box, factor, image.shape[:2])
    top, bottom, left, right = square.padding
    padding = np.ones((square.side, square.side), np.uint8)
    padding[top : square.side - bottom, left : square.side - right] = 0
    crop = _resize(image, square, size)
    return crop._replace(padding=cv2.resize(padding, (size, size)).astype(bool))


def cut_target(image: np.ndarray, box: np.ndarray, factor: float, size: int) -> Crop:
    """As `sample_target`, but for the padding, which only training asks for."""
    return _resize(image, place_square(box, factor, image.shape[:2]), size)


def place_square(box: np.ndarray, factor: float, frame: tuple[int, ...]) -> Square:
    """Where `sample_target` cuts; frame: height and width of the image. Raises InputError as it does."""
    x, y, w, h = (float(value) for value in box)
    if not (math.isfinite(x) and math.isfinite(y) and w > 0 and h > 0 and w * h < math.inf):
        raise InputError(f"box x={x:g} y={y:g} w={w:g} h={h:g} has no area: width and height must be above 0 pixels")
    side = math.ceil(math.sqrt(w * h) * factor)
    x1, y1 = round(x + 0.5 * w - side * 0.5), round(y + 0.5 * h - side * 0.5)
    height, width = frame
    left, top = max(0, -x1), max(0, -y1)
    # The family's code blanks the last column (row) of the image whenever the square reaches it. Every public
    # checkpoint saw it that way, so it stays.
    right, bottom = max(0, x1 + side - width + 1), max(0, y1 + side - height + 1)
    if left + right >= side or top + bottom >= side:
        raise InputError(
            f"box x={x:g} y={y:g} w={w:g} h={h:g} lies wholly outside its {width}x{height} image: "
            "check the box and the image size"
        )
    return Square(x1, y1, side, (top, bottom, left, right))


def _resize(image: np.ndarray, square: Square, size: int) -> Crop:
    x1, y1, side, (top, bottom, left, right) = square
    pixels = image[y1 + top : y1 + side - bottom, x1 + left : x1 + side - right]
    if any(square.padding):
        pixels = cv2.copyMakeBorder(pixels, top, bottom, left, right, cv2.BORDER_CONSTANT)
    return Crop(cv2.resize(pixels, (size, size)), size / side, NO_PADDING)


def box_to_crop(box: np.ndarray, around: np.ndarray, scale: float, size: int) -> np.ndarray:
    """A frame box in units of the crop that was cut around another: [4] xywh pixels -> [4] xywh, 1 = crop side.

    The centre of the crop is (size - 1) / 2 in crop pixels, as in the training code of the family.
    """
    box, around = np.asarray(box, np.float64), np.asarray(around, np.float64)
    centre = (size - 1) / 2 + (box[:2] + box[2:] / 2 - around[:2] - around[2:] / 2) * scale
    extent = box[2:] * scale
    return np.concatenate([centre - extent / 2, extent]) / size


def box_to_frame(box: np.ndarray, around: np.ndarray, scale: float, size: int) -> np.ndarray:
    """A network's box back in the frame: [4] cxcywh, 1 = crop side -> [4] xywh pixels.

    around: the xywh box that the crop was cut around, scale: its `Crop.scale`. The centre of the crop is size / 2
    here: the family's tracking code differs by half a crop pixel from its training code, and results contain that.
    """
    cx, cy, w, h = np.asarray(box, np.float64) * (size / scale)
    half = 0.5 * size / scale
    cx, cy = cx + around[0] + 0.5 * around[2] - half, cy + around[1] + 0.5 * around[3] - half
    return np.array([cx - 0.5 * w, cy - 0.5 * h, w, h])
