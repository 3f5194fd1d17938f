"""The orientation tag (EXIF) of image files: pictures are turned as it says, as viewers and tools for annotation do.

Decoders differ in this, so the tag is read here and hidden from them. It is tag 274 of a TIFF directory, which is a
TIFF file itself, a JPEG segment or a PNG chunk.
"""

import functools
import logging
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from .damage import JPEG_START, jpeg_segments

log = logging.getLogger(__name__)

PNG_START = b"\x89PNG\r\n\x1a\n"
TIFF_STARTS = {b"II*\0": "<", b"MM\0*": ">"}  # and the byte order that they stand for
EXIF = b"Exif\0\0"
TAG = 274
MOST_PARTS = 4096  # chunks or tags of a file that are looked at
UPRIGHT = 1
ONE_IS_TURNED = (  # of two streams of one scene, in messages
    "one of them is turned, perhaps by a wrong orientation tag (EXIF) in its files; correct the tag or the pictures"
)

#: value of the tag -> is transposed, is mirrored from left to right, is turned upside down, in this order
TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}
TRANSPOSED = [value for value, (transposed, _, _) in TURNS.items() if transposed]


def hide_orientation(data: np.ndarray) -> tuple[np.ndarray, int]:
    """The content of an image file, [N] uint8, so that every decoder gives the picture as it is stored, and the value
    of its orientation tag, 1 to 8; 1 where it has none."""
    start = _find_directory(data)
    place = -1 if start < 0 else _find_tag(data, start)
    if place < 0:
        return data, UPRIGHT
    order = TIFF_STARTS[data[start : start + 4].tobytes()]
    (value,) = struct.unpack(f"{order}H", data[place : place + 2].tobytes())
    if value not in TURNS or value == UPRIGHT:
        return data, UPRIGHT
    hidden = data.copy()
    hidden[place : place + 2] = np.frombuffer(struct.pack(f"{order}H", UPRIGHT), np.uint8)
    if data[:8].tobytes() == PNG_START:  # else libpng would print a line about the checksum
        end = min(start + int.from_bytes(data[start - 8 : start - 4].tobytes(), "big"), len(data) - 4)
        hidden[end : end + 4] = np.frombuffer(zlib.crc32(hidden[start - 4 : end]).to_bytes(4, "big"), np.uint8)
    return hidden, value


def turn(image: np.ndarray, orientation: int, source: str | Path) -> np.ndarray:
    """A stored picture [H, W, …] as its tag says, with one line a folder. source: the file, for that line."""
    if orientation == UPRIGHT:
        return image
    _say(str(Path(source).parent), orientation)
    transposed, mirrored, upside_down = TURNS[orientation]
    image = cv2.transpose(image) if transposed else image
    if mirrored or upside_down:
        image = cv2.flip(image, -1 if mirrored and upside_down else int(mirrored))
    return image


@functools.cache
def _say(folder: str, orientation: int) -> None:
    log.warning(
        "%s: the orientation tag (EXIF %d) of its images is obeyed, so boxes are in pixels of the turned pictures",
        *(folder, orientation),
    )


def _find_directory(data: np.ndarray) -> int:
    """Where the TIFF directory of a file begins; -1: it has none."""
    if data[:4].tobytes() in TIFF_STARTS:
        return 0
    if data[:2].tobytes() == JPEG_START:
        return _find_segment(data)
    return _find_chunk(data) if data[:8].tobytes() == PNG_START else -1


def _find_segment(data: np.ndarray) -> int:
    for marker, start, _ in jpeg_segments(data.data):
        if marker == 0xE1 and data[start : start + len(EXIF)].tobytes() == EXIF:
            return _checked(data, start + len(EXIF))
    return -1


def _find_chunk(data: np.ndarray) -> int:
    """In a PNG file: a chunk is its length, its kind, so many bytes and a checksum."""
    place = 8
    for _ in range(MOST_PARTS):
        head = data[place : place + 8].tobytes()
        if head[4:] in (b"", b"IEND"):
            return -1
        if head[4:] == b"eXIf":
            return _checked(data, place + 8)
        place += 12 + int.from_bytes(head[:4], "big")
    return -1


def _checked(data: np.ndarray, start: int) -> int:
    return start if data[start : start + 4].tobytes() in TIFF_STARTS else -1


def _find_tag(data: np.ndarray, start: int) -> int:
    """Where the value of the orientation tag is in the first directory that begins at `start`; -1: it has none."""
    order = TIFF_STARTS[data[start : start + 4].tobytes()]
    try:
        (offset,) = struct.unpack(f"{order}I", data[start + 4 : start + 8].tobytes())
        first = start + offset
        (count,) = struct.unpack(f"{order}H", data[first : first + 2].tobytes())
        for k in range(min(count, MOST_PARTS)):
            entry = first + 2 + 12 * k
            tag, kind = struct.unpack(f"{order}HH", data[entry : entry + 4].tobytes())
            if tag == TAG and kind == 3 and entry + 10 <= len(data):
                return entry + 8
    except struct.error:  # the file ends here
        pass
    return -1
