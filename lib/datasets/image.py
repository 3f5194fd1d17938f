"""Reading images: jpeg4py where its native library is present (about twice as fast), OpenCV otherwise.

An image can be read at a resolution reduced by k = 2, 4 or 8: [H, W] becomes [ceil(H / k), ceil(W / k)]; pixel i covers
pixels k i to k i + k - 1 of the file, so a coordinate x becomes x / k. JPEG files are then decoded only in part.
"""

import functools
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from ..core.errors import InputError
from .damage import JPEG_START, stated_size
from .depth import Range, choose_range, scale
from .orientation import TIFF_STARTS, UPRIGHT, hide_orientation, turn

log = logging.getLogger(__name__)

MOST_PIXELS = 1 << 27  # of an image; a file of 631 bytes can state 4 billion
REDUCTIONS = (8, 4, 2)

_REDUCED_JPEG = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}  # by channels

#: (content, reduction) -> image; None for what it cannot read
Decoder = Callable[[np.ndarray, int], np.ndarray | None]

_loading = threading.Lock()


def choose_reduction(side: float, size: int) -> int:
    """The largest reduction that leaves a square of `side` pixels at least `size` pixels, its size after resizing.

    >>> [choose_reduction(side, 128) for side in (255, 256, 1000, 5000)]
    [1, 2, 4, 8]
    """
    return next((reduction for reduction in REDUCTIONS if side >= reduction * size), 1)


def read_image(path: str | Path, reduction: int = 1, span: Callable[[], Range] | None = None) -> np.ndarray:
    """Read an image file: [H, W, 3] uint8, RGB order; a grey file becomes 3 equal channels.

    reduction: 1, or one of REDUCTIONS. span: the range of the stream that the image belongs to, asked for when the file
    has more than 8 bits a value; without it the image's own range (`lib.datasets.depth`). Raises InputError with the
    path when the file is missing or cannot be decoded.
    """
    return decode_image(_content(path), str(path), reduction, span)


def decode_image(
    data: np.ndarray, source: str | Path, reduction: int = 1, span: Callable[[], Range] | None = None
) -> np.ndarray:
    """As `read_image`, from the content of a file, [N] uint8. source: the name used in messages."""
    _check_size(data, source)
    data, orientation = hide_orientation(data)
    if orientation != UPRIGHT:  # is turned before it is reduced, since reduction counts pixels from the upper left
        return shrink(turn(_decode_upright(data, source, 1, span), orientation, source), reduction)
    return _decode_upright(data, source, reduction, span)


def read_stored(path: str | Path) -> np.ndarray:
    """An image file with the values that it holds: [H, W] or [H, W, C], RGB order, uint8, uint16 or float.

    A JPEG file, which has 8 bits, is not decoded: [0, 0] uint8. Raises InputError as `read_image` does.
    """
    return decode_stored(_content(path), path)


def decode_stored(data: np.ndarray, source: str | Path) -> np.ndarray:
    """As `read_stored`, from the content of a file."""
    if _is_jpeg(data):
        return np.empty((0, 0), np.uint8)
    _check_size(data, source)
    return _decode(hide_orientation(data)[0], source)


def shrink(image: np.ndarray, reduction: int) -> np.ndarray:
    """Reduce an image [H, W, C] uint8: every new pixel is the mean of the pixels that it covers."""
    if reduction == 1:
        return image
    height, width = image.shape[:2]
    down, right = -height % reduction, -width % reduction
    whole = cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE) if down or right else image
    size = (whole.shape[1] // reduction, whole.shape[0] // reduction)
    return cv2.resize(whole, size, interpolation=cv2.INTER_AREA)


def _content(path: str | Path) -> np.ndarray:
    try:
        return np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise InputError(f"{path}: image does not exist; check the sequence folder for a missing frame") from None


def _check_size(data: np.ndarray, source: str | Path) -> None:
    width, height = stated_size(data.data) or (0, 0)
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{source}: states {width}x{height} pixels, more than {MOST_PIXELS / 1e6:.0f} million; "
            "the file is damaged or no frame of a video, replace it"
        )


def _is_jpeg(data: np.ndarray) -> bool:
    return data[:2].tobytes() == JPEG_START


def _decode_upright(
    data: np.ndarray, source: str | Path, reduction: int, span: Callable[[], Range] | None
) -> np.ndarray:
    image = _jpeg_decoder()(data, reduction) if _is_jpeg(data) else None
    return _decode_opencv(data, source, reduction, span) if image is None else image


def _decode_opencv(
    data: np.ndarray, source: str | Path, reduction: int, span: Callable[[], Range] | None
) -> np.ndarray:
    if _is_jpeg(data):  # OpenCV's decoder reduces only JPEG, by the rule at the top
        return _decode(data, source, _REDUCED_JPEG[reduction])
    image = _decode(data, source)
    if image.dtype != np.uint8:
        image = scale(image, choose_range([image]) if span is None else span())
    return shrink(image, reduction)


def _decode(data: np.ndarray, source: str | Path, flags: int = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) -> np.ndarray:
    """[H, W, 3] RGB, of the type that the file holds."""
    if data[:4].tobytes() in TIFF_STARTS:
        flags = cv2.IMREAD_UNCHANGED  # `IMREAD_COLOR` refuses float values
    image = None
    with suppress(cv2.error):  # which is raised for more pixels than OpenCV allows
        image = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None
    if image is None:
        raise InputError(f"{source}: image cannot be decoded; the file is damaged, replace it")
    if image.dtype not in (np.uint8, np.uint16):  # 64-bit and half floats, signed numbers such as degrees
        image = image.astype(np.float32)
    channels = 1 if image.ndim == 2 else image.shape[2]
    return cv2.cvtColor(image, _TO_RGB[channels]) if channels in _TO_RGB else cv2.merge([image[..., 0]] * 3)


def _jpeg_decoder() -> Decoder:
    with _loading:  # else every thread would load the library and say that it is missing
        return _load_decoder()


@functools.cache
def _load_decoder() -> Decoder:
    """A decoder that returns None for what it cannot read, which is then left to OpenCV; without jpeg4py always."""
    try:
        import jpeg4py
        from jpeg4py._cffi import initialize

        initialize()  # loads the library: one that is missing is found here once, not at every image
    except (ImportError, OSError):
        log.info("jpeg4py cannot load libturbojpeg: JPEG files are read with OpenCV (Debian package: libturbojpeg0)")
        return lambda source, reduction: None

    def decode(source: np.ndarray, reduction: int) -> np.ndarray | None:
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
