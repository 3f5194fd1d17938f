"""Masks of a sequence: which pixels of a frame show the target. H, W: size of the frame."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..core.errors import InputError
from .damage import stated_size
from .image import MOST_PIXELS

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3  # colour types of PNG
_OF_COLOURS = (b"PLTE", b"tRNS")  # chunks that a grey image does not have


class Masks(ABC):
    """The masks of a sequence's target, one a frame. Picklable, so that loader workers can have copies."""

    @abstractmethod
    def __getitem__(self, index: int) -> np.ndarray:
        """[H, W] uint8 of a frame: 255 where the target is seen, 0 elsewhere. Raises InputError with the path of an
        unreadable file."""


@dataclass(frozen=True)
class FileMasks(Masks):
    """Image files, one a frame."""

    paths: Sequence[Path]
    label: int | None = None  # of the target in files of labels; None: grey files of one object

    def __getitem__(self, index: int) -> np.ndarray:
        found = read_labels(self.paths[index])
        return np.where(found > 127 if self.label is None else found == self.label, 255, 0).astype(np.uint8)


def read_labels(path: str | Path) -> np.ndarray:
    """The numbers that a mask file holds, [H, W] uint8: of a palette image the colours' numbers, which DAVIS and
    YouTube-VOS give their objects; of any other image its grey values.

    Raises InputError with the path when the file is missing or cannot be decoded.
    """
    try:
        data = Path(path).read_bytes()
    except OSError:
        raise InputError(f"{path}: mask does not exist; complete the download") from None
    width, height = stated_size(data) or (0, 0)
    if width * height > MOST_PIXELS:
        raise InputError(f"{path}: states {width}x{height} pixels; the file is damaged, replace it")
    levels = 1
    if data[:8] == _PNG and data[25:26] == bytes([_PALETTE]):
        levels = {1: 255, 2: 85, 4: 17}.get(data[24], 1)  # a decoder stretches grey values of few bits to 255
        data = _numbers_as_grey(data)
    try:
        flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise InputError(f"{path}: mask cannot be decoded; the file is damaged, replace it")
    return image // np.uint8(levels)


def find_extent(mask: np.ndarray) -> np.ndarray | None:
    """The box around the contours of a mask [H, W], non-zero at the object: [4] xywh pixels; None where no contour has
    an area. Contours of one or two points are no objects."""
    contours, _ = cv2.findContours((mask != 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = [contour[:, 0] for contour in contours if len(contour) > 2]
    if not points:
        return None
    corners = np.concatenate(points)
    low, high = corners.min(0), corners.max(0) + 1
    return np.concatenate([low, high - low]).astype(np.float64)


def _numbers_as_grey(data: bytes) -> bytes:
    """A PNG file of palette colours as the grey image of their numbers: the pixels of both are stored alike."""
    kept, place = [_PNG], len(_PNG)
    while place + 12 <= len(data):
        length, name = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        chunk = data[place : place + 12 + length]
        if name == b"IHDR":
            body = chunk[4:17] + bytes([_GREY]) + chunk[18:-4]
            chunk = chunk[:4] + body + zlib.crc32(body).to_bytes(4, "big")
        if name not in _OF_COLOURS:
            kept.append(chunk)
        place += 12 + length
    return b"".join(kept)
