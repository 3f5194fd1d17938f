"""Crops of a frame, and boxes that stay inside it.

C channels, S side of a crop, pixels. Boxes are x y w h, pixels.
"""

import math

import cv2
import numpy as np

from .errors import InputError


def cut(image: np.ndarray, box: np.ndarray, factor: float, size: int) -> tuple[np.ndarray, float]:
    """The square of side factor * sqrt(w h) around a box, black outside the image: [S, S, C] and its S / side."""
    x, y, w, h = box
    side = math.ceil(math.sqrt(w * h) * factor)
    x1, y1 = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    height, width = image.shape[:2]
    left, top = max(0, -x1), max(0, -y1)
    # The last column and row of the image are left out, as in training.
    right, bottom = max(0, x1 + side - width + 1), max(0, y1 + side - height + 1)
    if left + right >= side or top + bottom >= side:
        raise InputError(f"box {box} lies outside its {width}x{height} image")
    inside = image[y1 + top : y1 + side - bottom, x1 + left : x1 + side - right]
    square = cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_CONSTANT)
    return cv2.resize(square, (size, size)), size / side


def cut_stretched(
    image: np.ndarray, box: np.ndarray, factor: float, size: int, fill: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rectangle `factor` times as wide and as high as a box, of colour `fill` [C] outside the image: [S, S, C] and
    its width and height in pixels of the image [2]."""
    extent = np.maximum(np.rint(box[2:] * factor), 1).astype(int)
    x, y = np.rint(box[:2] + box[2:] / 2 - extent / 2).astype(int).tolist()
    return cut_rectangle(image, (x, y), extent, size, fill), extent


def cut_with_context(image: np.ndarray, centre: np.ndarray, side: float, size: int, fill: np.ndarray) -> np.ndarray:
    """The square of `side` pixels, rounded, around a place x y, of colour `fill` [C] outside the image: [S, S, C]."""
    whole = math.floor(side + 0.5)
    x, y = np.floor(centre - (whole + 1) / 2 + 0.5).astype(int).tolist()
    return cut_rectangle(image, (x, y), np.array([whole, whole]), size, fill)


def cut_rectangle(
    image: np.ndarray, corner: tuple[int, int], extent: np.ndarray, size: int, fill: np.ndarray
) -> np.ndarray:
    """The rectangle of this width and height from a column and row on, of colour `fill` outside the image: [S, S, C]"""
    x, y = corner
    width, height = extent.tolist()
    part = image[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    if not part.size:
        return np.broadcast_to(fill, (size, size, fill.size)).copy()
    whole = np.empty((height, width, fill.size), np.uint8)
    whole[:] = fill
    top, left = max(0, -y), max(0, -x)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    return whole if extent.tolist() == [size, size] else cv2.resize(whole, (size, size))


def context_side(box: np.ndarray, context: float) -> float:
    """Side of the square of a box and its context: sqrt((w + p) (h + p)) with p = context (w + h)."""
    padding = context * (box[2] + box[3])
    return math.sqrt((box[2] + padding) * (box[3] + padding))


def mean_colour(frame: np.ndarray) -> np.ndarray:
    """The mean of each channel, rounded down: [H, W, 3 M] -> [3 M] uint8"""
    images = np.split(frame, frame.shape[2] // 3, axis=2)
    return np.concatenate([image.mean(axis=(0, 1)).astype(np.uint8) for image in images])


def whole_box(box: np.ndarray) -> np.ndarray:
    """A box of whole pixels, at least one wide and high."""
    rounded = np.rint(box)
    return np.concatenate([rounded[:2], np.maximum(rounded[2:], 1)])


def clip(box: np.ndarray, height: int, width: int, margin: int) -> np.ndarray:
    """Clip a box so that at least `margin` pixels of width and height are inside the image."""
    limits = np.array([width, height], np.float64)
    low = np.clip(box[:2], 0, limits - margin)
    high = np.clip(box[:2] + box[2:], margin, limits)
    return np.concatenate([low, np.maximum(high - low, margin)])


def clip_centre(centre: np.ndarray, size: np.ndarray, height: int, width: int, margin: int) -> np.ndarray:
    """The box whose centre is moved into the image, and whose sides are made at least `margin` and at most those of
    the image."""
    limits = np.array([width, height], np.float64)
    extent = np.clip(size, margin, limits)
    return np.concatenate([np.clip(centre, 0, limits) - extent / 2, extent])
