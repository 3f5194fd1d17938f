"""Reading images: jpeg4py where its native library is present (about twice as fast), OpenCV otherwise.

An image can be read at a resolution reduced by k = 2, 4 or 8: [H, W] becomes [ceil(H / k), ceil(W / k)]; pixel i covers
pixels k i to k i + k - 1 of the file, so a coordinate x becomes x / k. JPEG files are then decoded only in part.
"""

import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ..core.errors import InputError

log = logging.getLogger(__name__)

JPEG_START = b"\xff\xd8"
REDUCTIONS = (8, 4, 2)

_REDUCED_JPEG = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

#: (content or path, reduction) -> image; None for what it cannot read
Decoder = Callable[[str | np.ndarray, int], np.ndarray | None]


def choose_reduction(side: float, size: int) -> int:
    """The largest reduction that leaves a square of `side` pixels at least `size` pixels, its size after resizing.

    >>> [choose_reduction(side, 128) for side in (255, 256, 1000, 5000)]
    [1, 2, 4, 8]
    """
    return next((reduction for reduction in REDUCTIONS if side >= reduction * size), 1)


def read_image(path: str | Path, reduction: int = 1) -> np.ndarray:
    """Read an image file: [H, W, 3] uint8, RGB order; grey and 16-bit files become 3 equal 8-bit channels.

    reduction: 1, or one of REDUCTIONS. Raises InputError with the path when the file is missing or cannot be decoded.
    """
    if Path(path).suffix.lower() in (".jpg", ".jpeg"):
        image = _jpeg_decoder()(os.fspath(path), reduction)
        if image is not None:
            return image
    return _read_opencv(path, reduction)


def decode_image(data: np.ndarray, source: str, reduction: int = 1) -> np.ndarray:
    """As `read_image`, from the content of a file, [N] uint8. source: the name used in messages."""
    if data[:2].tobytes() == JPEG_START:
        image = _jpeg_decoder()(data, reduction)
        if image is not None:
            return image
    return _decode_opencv(data, source, reduction)


def shrink(image: np.ndarray, reduction: int) -> np.ndarray:
    """Reduce an image [H, W, C] uint8: every new pixel is the mean of the pixels that it covers."""
    if reduction == 1:
        return image
    height, width = image.shape[:2]
    down, right = -height % reduction, -width % reduction
    whole = cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE) if down or right else image
    size = (whole.shape[1] // reduction, whole.shape[0] // reduction)
    return cv2.resize(whole, size, interpolation=cv2.INTER_AREA)


def _read_opencv(path: str | Path, reduction: int) -> np.ndarray:
    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise InputError(f"{path}: image does not exist; check the sequence folder for a missing frame") from None
    return _decode_opencv(data, path, reduction)


def _decode_opencv(data: np.ndarray, source: str | Path, reduction: int) -> np.ndarray:
    jpeg = data[:2].tobytes() == JPEG_START  # OpenCV's decoder reduces only JPEG, by the rule at the top
    image = cv2.imdecode(data, _REDUCED_JPEG[reduction if jpeg else 1]) if data.size else None
    if image is None:
        raise InputError(f"{source}: image cannot be decoded; the file is damaged, replace it")
    return cv2.cvtColor(image if jpeg else shrink(image, reduction), cv2.COLOR_BGR2RGB)


@functools.cache
def _jpeg_decoder() -> Decoder:
    """A decoder that returns None for what it cannot read, which is then left to OpenCV; without jpeg4py always."""
    try:
        import jpeg4py
        from jpeg4py._cffi import initialize

        initialize()  # loads the library: one that is missing is found here once, not at every image
    except (ImportError, OSError):
        log.info("jpeg4py cannot load libturbojpeg: JPEG files are read with OpenCV (Debian package: libturbojpeg0)")
        return lambda source, reduction: None

    def decode(source: str | np.ndarray, reduction: int) -> np.ndarray | None:
        try:
            jpeg = jpeg4py.JPEG(source)
            if reduction == 1:
                return jpeg.decode()
            jpeg.parse_header()
            # libjpeg-turbo decodes at the largest of its scales that fits the given buffer
            size = (-(-jpeg.height // reduction), -(-jpeg.width // reduction), 3)
            return jpeg.decode(np.empty(size, np.uint8))
        except (jpeg4py.JPEGRuntimeError, OSError, ValueError):
            return None

    return decode
