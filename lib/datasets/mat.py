"""Reading MATLAB 5 files: number arrays, texts and cells of texts, which the flag files of benchmarks hold.

Format: MathWorks, MAT-File Format, version 5. A file is a header of 128 bytes, then elements of a tag (type, size) and
data. An element may be compressed by zlib; an array is an element whose parts are elements.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError

HEADER = 128
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8", 16: "u1", 17: "u2"}
MATRIX, PACKED = 14, 15  # element types
CELL, TEXT, NUMBERS = 1, 4, range(6, 16)  # classes of arrays
LARGEST = 1 << 26  # bytes of a file, and of what its compressed elements expand to
DEEPEST = 4  # cells within each other


def read_mat(path: str | Path) -> dict[str, Any]:
    """Variable name -> array as MATLAB's, text, or list of a cell's items in MATLAB's order.

    Raises InputError for files of another version, damaged files and variables of another kind.
    """
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise InputError(f"{path}: is larger than {LARGEST >> 20} MiB; expected the flags of a benchmark")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None or not data.startswith(b"MATLAB 5.0 MAT-file"):
        raise InputError(f"{path}: is not a MATLAB 5 file; save it with -v6 or -v7")
    try:
        return dict(_read_array(content, order) for content in _unpacked(data[HEADER:], order))
    except (struct.error, zlib.error, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read: {error or 'cut short'}; get the file again") from None


def _unpacked(data: bytes, order: str) -> Iterator[bytes]:
    """The content of each element of a file; compressed ones hold one element each, none of them compressed again."""
    left = LARGEST
    for kind, content in _elements(data, order):
        if kind != PACKED:
            yield content
            continue
        unpacked = zlib.decompressobj().decompress(content, left)
        left -= len(unpacked)
        if not left:
            raise ValueError(f"its variables expand to more than {LARGEST >> 20} MiB")
        for inner, value in _elements(unpacked, order):
            if inner == PACKED:
                raise ValueError("a variable is compressed twice")
            yield value


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and data of each element. Small ones keep both in one tag of eight bytes."""
    place = 0
    while place < len(data):
        kind, size = struct.unpack_from(f"{order}2I", data, place)
        start = place + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
        content = data[start : start + size]
        if len(content) != size:
            raise ValueError("an element is cut short")
        place = max(start + size, place + 8)
        place += 0 if kind == PACKED else -place % 8
        yield kind, content


def _read_array(data: bytes, order: str, depth: int = 0) -> tuple[str, Any]:
    """Name and value of a matrix element."""
    parts = [*_elements(data, order)]
    if len(parts) < 3:
        raise ValueError("a variable is cut short")
    flags, sizes, name = (content for _, content in parts[:3])
    kind = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
    shape = tuple(np.frombuffer(sizes, f"{order}i4").tolist())
    if kind == CELL and depth < DEEPEST:
        return name.decode(), [_read_array(content, order, depth + 1)[1] for _, content in parts[3:]]
    if kind != TEXT and kind not in NUMBERS:
        raise ValueError(f"variable {name.decode()[:40]} is neither numbers, text nor a cell of them")
    if len(parts) < 4 or min(shape, default=0) < 0:
        raise ValueError(f"variable {name.decode()[:40]} lacks its values or size")
    stored, content = parts[3]
    values = np.frombuffer(content, order + TYPES[stored]).reshape(shape, order="F")
    return name.decode(), "".join(map(chr, values.ravel())) if kind == TEXT else values
