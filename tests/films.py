"""Video files for tests: times, damage and depth as wanted."""

import struct
from pathlib import Path

import cv2
import numpy as np

SIZE = (24, 24)  # height, width


def put_gif(path: Path, levels: list[int], delays: list[int] | None = None) -> Path:
    """A GIF of even grey pictures, levels below 128. delays: hundredths of a second; None: without blocks for them."""
    height, width = SIZE
    palette = bytes(value for level in range(128) for value in [2 * level] * 3)
    parts = [b"GIF89a", struct.pack("<HHBBB", width, height, 0xF6, 0, 0), palette]
    for index, level in enumerate(levels):
        if delays is not None:
            parts.append(b"\x21\xf9\x04\x00" + struct.pack("<H", delays[index]) + b"\x00\x00")
        # Codes of 8 bit, which stay so because 128 (clear) comes before the table is full.
        pixels = height * width
        codes = (
            b"".join(b"\x80" + bytes([level]) * min(100, pixels - start) for start in range(0, pixels, 100)) + b"\x81"
        )
        blocks = [codes[start : start + 255] for start in range(0, len(codes), 255)]
        data = b"".join(bytes([len(block)]) + block for block in blocks) + b"\x00"
        parts.append(b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x07" + data)
    path.write_bytes(b"".join(parts) + b"\x3b")
    return path


def put_avi(path: Path, levels: list[int], rate: float = 10.0) -> Path:
    """Motion JPEG of even grey pictures, each a packet of its own."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (64, 48))
    for level in levels:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


def packets(content: bytes) -> list[tuple[int, int]]:
    """Start and end of the pictures in an AVI file."""
    found, place = [], content.find(b"movi")
    while (place := content.find(b"00dc", place + 1)) >= 0 and content[place + 8 : place + 10] == b"\xff\xd8":
        found.append((place + 8, place + 8 + int.from_bytes(content[place + 4 : place + 8], "little")))
    return found


def damage(path: Path, frames: list[int]) -> Path:
    """The pictures of these frames of an AVI file become zeros."""
    content = bytearray(path.read_bytes())
    places = packets(bytes(content))
    for frame in frames:
        start, end = places[frame]
        content[start:end] = bytes(end - start)
    path.write_bytes(content)
    return path


def put_deep_video(path: Path, frames: np.ndarray, rate: float = 10.0) -> Path:
    """A lossless video of 16-bit grey frames [N, H, W]."""
    options = [cv2.VIDEOWRITER_PROP_DEPTH, cv2.CV_16U, cv2.VIDEOWRITER_PROP_IS_COLOR, 0]
    size = frames.shape[:0:-1]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), rate, size, options)
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path
