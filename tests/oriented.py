"""Image files with an orientation tag."""

import struct
import zlib

import cv2
import numpy as np

LEVELS = {"a": 0, "b": 80, "c": 160, "d": 240}


def stored():
    """[32, 64] in four parts."""
    return np.kron([[LEVELS["a"], LEVELS["b"]], [LEVELS["c"], LEVELS["d"]]], np.ones((16, 32))).astype(np.uint8)


def directory(value, order="<"):
    return struct.pack(f"{order}2sHIHHHIHHI", b"II" if order == "<" else b"MM", 42, 8, 1, 274, 3, 1, value, 0, 0)


def put_oriented(path, value, order="<", pixels=None):
    """An image file with an orientation tag. pixels: what is stored; of another picture than `stored` no TIFF file."""
    pixels = stored() if pixels is None else pixels
    plain = cv2.imencode(path.suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, 95] * (path.suffix == ".jpg"))[1].tobytes()
    tag = directory(value, order)
    if path.suffix == ".jpg":
        data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(tag) + 8) + b"Exif\0\0" + tag + plain[2:]
    elif path.suffix == ".png":
        chunk = b"eXIf" + tag
        data = plain[:33] + struct.pack(">I", len(tag)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + plain[33:]
    else:
        pixels = stored().tobytes()
        fields = {256: 64, 257: 32, 258: 8, 259: 1, 262: 1, 273: 8, 274: value, 277: 1, 278: 32, 279: len(pixels)}
        rows = b"".join(struct.pack(f"{order}HHIHH", key, 3, 1, number, 0) for key, number in fields.items())
        head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(pixels))
        data = head + pixels + struct.pack(f"{order}H", len(fields)) + rows + bytes(4)
    path.write_bytes(data)
    return path
