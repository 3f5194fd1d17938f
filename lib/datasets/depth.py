"""Images of more than 8 bits a value, such as raw thermal ones, as 8-bit images: one linear range for a whole stream.

A thermal camera uses few of the 65536 values (1500 for 15 degrees in hundredths), so that the high byte alone is nearly
one grey. A range for each frame would change the brightness of one and the same thing from frame to frame.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from ..core.errors import InputError

log = logging.getLogger(__name__)

Range = tuple[float, float]  # raw values that become 0 and 255

HIGH_BYTE: Range = (0.0, 65536.0)  # of files that use all of 16 bit
SAMPLES = 16  # frames of a stream that its range is taken from, evenly spread
WIDE = 1 << 14  # span of 16-bit values from which on the high byte is used; 14-bit counts are below it
BORDER = 32  # 1 / 32 of the image on each side is not looked at: dead lines, rows with the camera's data
TAIL = 1e-4  # share of values beyond each end of a frame's range
ODD = 8  # one frame in so many, flat or torn, may lie beyond each end of a stream's range
_TOP = 255

_found: dict[tuple[str, int, int], Range] = {}
_lock = threading.Lock()


def scale(values: np.ndarray, span: Range) -> np.ndarray:
    """16-bit or float values -> uint8: linear within the range, clipped outside; HIGH_BYTE: that byte.

    >>> scale(np.array([[900, 1000, 1500, 2000, 3000]], np.uint16), (1000, 2000)).tolist()
    [[0, 0, 128, 255, 255]]
    """
    if span == HIGH_BYTE and values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    low, high = span
    linear = (values.astype(np.float32) - low) * (_TOP / (high - low))
    return np.nan_to_num(linear, copy=False).clip(0, _TOP).round().astype(np.uint8)


def choose_range(images: Iterable[np.ndarray]) -> Range:
    """The range of some frames of a stream: arrays [H, W] or [H, W, 3] of 16-bit or float values.

    The borders, single dead or hot pixels and one odd frame in `ODD` do not count. HIGH_BYTE for 16-bit values that
    span a quarter of 16 bit or more, and for 8-bit values that were widened (multiples of 256 or 257).
    """
    kept = [_without_defects(image) for image in images]
    if all(values.dtype == np.uint16 and _is_widened(values) for values in kept):
        return HIGH_BYTE
    ends = np.sort([_ends(values) for values in kept], axis=0)
    odd = len(ends) // ODD
    low, high = float(ends[odd, 0]), float(ends[-1 - odd, 1])
    if high - low >= WIDE and kept[0].dtype == np.uint16:
        return HIGH_BYTE
    return low, high if high > low else low + 1


def stream_range(stream: str, file: str | Path, length: int, read: Callable[[int], np.ndarray]) -> Range:
    """The range of a stream, measured once in a process and said in one line.

    stream: its name; file: its first one, which when changed is measured anew; read: index -> an image as it is stored.
    Images of 8 bit do not count, nor do unreadable ones; all are read where no sampled one has more.
    """
    key = (stream, os.stat(file).st_mtime_ns if os.path.exists(file) else 0, length)
    with _lock:
        if key not in _found:
            _found[key] = _measure(stream, length, read)
    return _found[key]


def say(stream: str, kind: np.dtype, span: Range, where: str) -> None:
    """One line about the range of a stream. kind: of its values; where: the frames that the range comes from."""
    if span == HIGH_BYTE:
        log.warning("%s: 16-bit values, %s, use all of the range: the high byte is taken", stream, where)
    else:
        word = "float" if kind.kind == "f" else "16-bit"
        shown = "%s: %s values %.6g to %.6g, %s, become 0 to 255 in the whole video"
        log.warning(shown, stream, word, *span, where)


def limit_lines(count: int, log: logging.Logger = log) -> None:
    """From now on this process names the ranges of so many streams only; log: of other lines, to limit those."""
    left = iter(range(count))
    log.addFilter(lambda record: next(left, None) is not None)


def _measure(stream: str, length: int, read: Callable[[int], np.ndarray]) -> Range:
    picked = np.unique(np.linspace(0, length - 1, min(SAMPLES, length)).round().astype(int)).tolist()
    deep = list(_deep_images(picked, read))
    if not deep:
        picked = list(range(length))
        deep = list(islice(_deep_images(picked, read), SAMPLES))
    span = choose_range(deep)
    say(stream, deep[0].dtype, span, f"measured on {len(deep)} of {length} frames")
    return span


def _deep_images(indices: Iterable[int], read: Callable[[int], np.ndarray]) -> Iterator[np.ndarray]:
    for index in indices:
        with suppress(InputError):  # which tells its reader, when it is needed
            image = read(index)
            if image.dtype != np.uint8:
                yield image


def _without_defects(image: np.ndarray) -> np.ndarray:
    """The inner part of an image that is large enough to have defects, without single pixels that stick out."""
    if image.dtype.kind == "f":
        image = image.astype(np.float32)
        finite = image[np.isfinite(image)]
        image = np.where(np.isfinite(image), image, np.median(finite) if finite.size else np.float32(0))
    rows, columns = image.shape[0] // BORDER, image.shape[1] // BORDER
    if not (rows and columns):
        return image
    inner = image[rows : image.shape[0] - rows, columns : image.shape[1] - columns]
    return cv2.medianBlur(np.ascontiguousarray(inner), 3)


def _is_widened(values: np.ndarray) -> bool:
    return not (values % 257).any() or not (values % 256).any()


def _ends(values: np.ndarray) -> tuple[float, float]:
    """The least and the largest value, without a share TAIL at each end."""
    flat = values.ravel()
    tail = int(TAIL * flat.size)
    ordered = np.partition(flat, (tail, flat.size - 1 - tail))
    return float(ordered[tail]), float(ordered[-1 - tail])
