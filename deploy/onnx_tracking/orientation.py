"""Orientation tags (EXIF) of image files. OpenCV obeys them."""

import struct
from pathlib import Path

DIRECTORIES = {b"II*\0": "<", b"MM\0*": ">"}  # beginnings of a TIFF directory, and the byte order that they stand for
LONGEST = 1 << 17  # bytes at the beginning of a file in which a tag is looked for
ORIENTATION, SHORT = 274, 3  # the tag, and its type


def orientation_of(path: Path) -> int:
    """The value of an image file's orientation tag, 1 to 8; 1 where it has none."""
    data = path.read_bytes()
    head = data[:LONGEST]
    starts = [head.find(mark) + len(mark) for mark in (b"Exif\0\0", b"eXIf") if mark in head]
    for start in [0, *starts]:
        order = DIRECTORIES.get(data[start : start + 4])
        try:
            first = start + struct.unpack_from(f"{order}I", data, start + 4)[0] if order else 0
            for k in range(struct.unpack_from(f"{order}H", data, first)[0] if order else 0):
                tag, kind, _, value = struct.unpack_from(f"{order}HHIH", data, first + 2 + 12 * k)
                if (tag, kind) == (ORIENTATION, SHORT) and 1 <= value <= 8:
                    return int(value)
        except struct.error:  # the file ends here
            pass
    return 1
