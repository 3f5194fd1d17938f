"""Reading images: jpeg4py where its native library is present (about twice as fast), OpenCV otherwise."""

import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from lib.core.errors import InputError

log = logging.getLogger(__name__)

JPEG_START = b"\xff\xd8"


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file: [H, W, 3] uint8, RGB order; grey and 16-bit files become 3 equal 8-bit channels.

    Raises InputError with the path when the file is missing or cannot be decoded.
    """
    if Path(path).suffix.lower() in (".jpg", ".jpeg"):
        image = _jpeg_decoder()(os.fspath(path))
        if image is not None:
            return image
    return _read_opencv(path)


def decode_image(data: np.ndarray, source: str) -> np.ndarray:
    """As `read_image`, from the content of a file, [N] uint8. source: what messages call it."""
    if data[:2].tobytes() == JPEG_START:
        image = _jpeg_decoder()(data)
        if image is not None:
            return image
    return _decode_opencv(data, source)


def _read_opencv(path: str | Path) -> np.ndarray:
    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise InputError(f"{path}: image does not exist; check the sequence folder for a missing frame") from None
    return _decode_opencv(data, path)


def _decode_opencv(data: np.ndarray, source: str | Path) -> np.ndarray:
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise InputError(f"{source}: image cannot be decoded; the file is damaged, replace it")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@functools.cache
def _jpeg_decoder() -> Callable[[str | np.ndarray], np.ndarray | None]:
    """A decoder that returns None for what it cannot read: OpenCV then has the last word, with or without jpeg4py."""
    try:
        import jpeg4py
    except (ImportError, OSError):
        log.info("jpeg4py cannot load libturbojpeg: JPEG files are read with OpenCV (Debian package: libturbojpeg0)")
        return lambda source: None

    def decode(source: str | np.ndarray) -> np.ndarray | None:
        try:
            return jpeg4py.JPEG(source).decode()
        except (jpeg4py.JPEGRuntimeError, OSError, ValueError):
            return None

    return decode
