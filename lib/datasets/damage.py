"""Images that a decoder reads though they are damaged: it fills the picture with something, and says so at most on
standard error."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

JPEG_START = b"\xff\xd8"
HOLE = 64  # zero bytes in a row; blocks of a file that were never written
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # the first one behind the data of a picture
_AFTER_DATA = b"\xd9\xda\xc4\xdb\xdc\xdd\xfe" + bytes(range(0xE0, 0xF0))  # markers that may follow these data
_WORDS = re.compile(r"Corrupt JPEG data[^\n]*|Premature end of JPEG[^\n]*|TIFF_Error[^\n]*|CRC error")


class Segment(NamedTuple):
    """A part of a JPEG file: between `start` and `end` are the bytes behind its marker and length."""

    marker: int
    start: int
    end: int


def jpeg_segments(data: bytes | memoryview) -> Iterator[Segment]:
    """The segments of a JPEG file up to the data of its (first) picture, or to where they stop to make sense."""
    place = len(JPEG_START)
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xFF:  # filling
            place += 1
            continue
        if length < 2:
            return
        yield Segment(marker, place + 4, place + 2 + length)
        if marker == 0xDA:
            return
        place += 2 + length


def stated_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Width and height that a JPEG, PNG or BMP file states; None for others."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data[:2] == b"BM":
        width, height = (abs(int.from_bytes(data[k : k + 4], "little", signed=True)) for k in (18, 22))
        return width, height
    if data[:2] != JPEG_START:
        return None
    for marker, start, _ in jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = (int.from_bytes(data[k : k + 2], "big") for k in (start + 1, start + 3))
            return width, height
    return None


def find_damage(data: bytes) -> str:
    """What is wrong with the bytes of a JPEG file, in words; "" where nothing is found, and for other files."""
    segments = list(jpeg_segments(data)) if data[:2] == JPEG_START else []
    if not segments or segments[-1].marker != 0xDA:
        return ""
    start = segments[-1].end
    if data.find(b"\xff\xd9", start) < 0:
        return "its end is missing"
    if not any(segment.marker in (0xC0, 0xC1) for segment in segments):
        return ""  # a progressive picture comes in several parts, where zeros have a meaning
    end = _NEXT_MARKER.search(data, start)
    if end is None or data[end.end() - 1] not in _AFTER_DATA:
        return f"its data break off at byte {start if end is None else end.start()}"
    hole = data.find(bytes(HOLE), start, end.start())
    return f"a hole of zeros at byte {hole}" if hole >= 0 and not _zeros_are_even_colour(data, segments) else ""


def _zeros_are_even_colour(data: bytes, segments: list[Segment]) -> bool:
    """Whether zeros stand for blocks of one colour: the shortest code of each table of coefficients, which is all
    zeros, ends a block."""
    first = []
    for segment in segments:
        place = segment.start if segment.marker == 0xC4 else segment.end
        while place + 17 < segment.end:
            counts = data[place + 1 : place + 17]
            if data[place] >> 4:
                first.append(data[place + 17])
            place += 17 + sum(counts)
    return not any(first)


@contextmanager
def decoder_words() -> Iterator[Callable[[], str]]:
    """Catches what decoders write to standard error, the file itself. Yields a function that returns what they said
    about damage until now, "" for nothing."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)

        def read() -> str:
            file.seek(0)
            said = _WORDS.findall(file.read().decode(errors="replace"))
            return said[0] if said else ""

        try:
            yield read
        finally:
            os.dup2(kept, 2)
            os.close(kept)
