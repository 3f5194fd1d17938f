"""Cutting views out of images with OpenCV. S side of a crop, C channels."""

import cv2
import numpy as np

from .view import View


def cut(image: np.ndarray, view: View, channels: slice = slice(None)) -> np.ndarray:
    """The crop of an image that a view describes, resized bilinearly: [H, W, C] uint8 -> [S, S, C] uint8, which may
    share memory with the image.

    channels: the channels of the view's padding colour that belong to this image.
    """
    (x, y), (width, height) = view.corner, view.extent
    if view.fill is None:
        return _resize(_take(image, *view.lines(image.shape)), view)
    fill = view.fill if view.fill.size == 1 else view.fill[channels]
    top, bottom, left, right = view.outside(image.shape[:2])
    if left + right >= width or top + bottom >= height:
        return np.broadcast_to(fill, (*view.size[::-1], image.shape[2])).copy()
    pixels = image[y + top : y + height - bottom, x + left : x + width - right]
    if top or bottom or left or right:
        pixels = _pad(pixels, (top, bottom, left, right), fill)
    return _resize(pixels, view)


def _pad(pixels: np.ndarray, sides: tuple[int, int, int, int], fill: np.ndarray) -> np.ndarray:
    """Pixels with a border of one colour. OpenCV, which takes up to four channels, is six times as fast as NumPy."""
    colour = np.broadcast_to(fill, pixels.shape[2]).tolist()
    parts = [
        np.atleast_3d(cv2.copyMakeBorder(pixels[..., k : k + 3], *sides, cv2.BORDER_CONSTANT, value=colour[k : k + 3]))
        for k in range(0, pixels.shape[2], 3)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _take(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The pixels of ascending rows and columns, which may repeat. Evenly spaced ones are a view of the image."""
    spans = []
    for lines in (rows, columns):
        step = int(lines[1] - lines[0]) if len(lines) > 1 else 1
        even = step > 0 and lines[-1] - lines[0] == step * (len(lines) - 1) and (np.diff(lines) == step).all()
        spans.append(slice(int(lines[0]), int(lines[-1]) + 1, step) if even else None)
    if spans[0] is not None and spans[1] is not None:
        return image[spans[0], spans[1]]
    return image[rows[:, None], columns]


def _resize(pixels: np.ndarray, view: View) -> np.ndarray:
    return pixels if pixels.shape[1::-1] == view.size else cv2.resize(pixels, view.size, interpolation=cv2.INTER_LINEAR)


def padding_mask(view: View, frame: tuple[int, int]) -> np.ndarray:
    """The padding of a crop: [S, S] bool, True where it lies outside a frame of this height and width."""
    top, bottom, left, right = view.outside(frame)
    width, height = view.extent
    mask = np.ones((height, width), np.uint8)
    mask[top : height - bottom, left : width - right] = 0
    return cv2.resize(mask, view.size).astype(bool)
