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
LARGEST = 1 << 26  # bytes that a compressed element may expand to


def read_mat(path: str | Path) -> dict[str, Any]:
    """Variable name -> array as MATLAB's, text, or list of a cell's items in MATLAB's order.

    Raises InputError for files of another version, damaged files and variables of another kind.
    """
    data = Path(path).read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None or not data.startswith(b"MATLAB 5.0 MAT-file"):
        raise InputError(f"{path}: is not a MATLAB 5 file; save it with -v6 or -v7")
    try:
        return dict(_read_array(content, order) for _, content in _elements(data[HEADER:], order))
    except (struct.error, zlib.error, ValueError, KeyError, StopIteration) as error:
        raise InputError(f"{path}: cannot be read: {error or 'cut short'}; get the file again") from None


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and data of each element, unpacked. Small ones keep both in one tag of eight bytes."""
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
        if kind == PACKED:
            yield from _elements(zlib.decompressobj().decompress(content, LARGEST), order)
        else:
            place += -place % 8
            yield kind, content


def _read_array(data: bytes, order: str) -> tuple[str, Any]:
    """Name and value of a matrix element."""
    parts = _elements(data, order)
    flags, sizes, name = (next(parts)[1] for _ in range(3))
    kind = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
    shape = tuple(np.frombuffer(sizes, f"{order}i4").tolist())
    if kind == CELL:
        return name.decode(), [_read_array(content, order)[1] for _, content in parts]
    if kind != TEXT and kind not in NUMBERS:
        raise ValueError(f"variable {name.decode()} is neither numbers, text nor a cell")
    stored, content = next(parts)
    values = np.frombuffer(content, order + TYPES[stored]).reshape(shape, order="F")
    return name.decode(), "".join(map(chr, values.ravel())) if kind == TEXT else values
