"""Images in one file, an LMDB store, for disks on which opening a million image files is slow.

<sequence>/<v|i>/<frame:06d>    the bytes of an image file: of the visible or the infrared stream
__meta__                        JSON: how many images there are, and what the writer says about them

LMDB's own locks are off: they need a file beside the store that everybody can write, and a file system that has locks.
Nobody reads a store that is being written, since it gets its name when it is complete; one run at a time writes it
(`lib.core.lock`). LMDB follows the page numbers in its file unchecked, and a wrong one ends the process with a signal
(SIGBUS). Checking all of them reads a part of every image, so it is done by `verify_store` where a store is checked or
goes on, and not each time it is read.
"""

import functools
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from collections.abc import Sequence as Many
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..core.bounded import parse_json
from ..core.errors import InputError
from .depth import Range, stream_range
from .image import decode_image, decode_stored
from .sequence import Frames

VERSION = 1
META = "__meta__"
UNFINISHED = ".partial"  # ends the name of a store that is being written

_MAGIC = struct.pack("=I", 0xBEEFC0DE)  # begins behind the header of the first page
_PAGE_HEADERS, _TO_SIZE = (16, 24), 24  # bytes of such a header, by LMDB's version; from there to the size of pages
_HEAD, _PAGE_SIZES = 64, [1 << power for power in range(8, 17)]
_AGAIN = "remove it and make it again"


class Opened(NamedTuple):
    """A store that this process reads."""

    environment: Any
    stamp: tuple[int, ...]  # of the file


_opened: dict[str, Opened] = {}
_guard = threading.Lock()


def image_key(sequence: str, modality: str, frame: int) -> str:
    """The key of an image.

    >>> image_key("man2", "infrared", 7)
    'man2/i/000007'
    """
    return f"{sequence}/{modality[0]}/{frame:06d}"


@dataclass(frozen=True, eq=False)
class StoredFrames(Frames):
    """Frames of a sequence in a store."""

    store: Path
    sequence: str  # its name in the keys
    numbers: Many[int]  # of the frames in the keys
    modalities: tuple[str, ...]
    sizes: np.ndarray | None = None  # [M, T] bytes of each image, where known
    checksums: np.ndarray | None = None  # [M, T] CRC-32 of these bytes, where known

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return self.reduced(index, 1)

    def reduced(self, index: int, reduction: int) -> list[np.ndarray]:
        return [self._read(stream, index, reduction) for stream in range(len(self.modalities))]

    def content(self, index: int) -> list[bytes]:
        return [self._stored(stream, index)[0].tobytes() for stream in range(len(self.modalities))]

    def _read(self, stream: int, index: int, reduction: int) -> np.ndarray:
        return decode_image(*self._stored(stream, index), reduction, functools.partial(self._range, stream))

    def _stored(self, stream: int, index: int) -> tuple[np.ndarray, str]:
        """The content of an image file, and its name in messages."""
        key = image_key(self.sequence, self.modalities[stream], self.numbers[index])
        size = None if self.sizes is None else int(self.sizes[stream, index])
        content = read_value(self.store, key, size)
        if self.checksums is not None and zlib.crc32(content) != self.checksums[stream, index]:
            raise InputError(f"{self.store}: {key} is not what was packed: its checksum differs; {_AGAIN}")
        return np.frombuffer(content, np.uint8), f"{self.store}: {key}"

    def _range(self, stream: int) -> Range:
        name = f"{self.store}: {self.sequence}/{self.modalities[stream][0]}"
        return stream_range(name, self.store, len(self), lambda index: decode_stored(*self._stored(stream, index)))


def read_about(path: Path) -> dict[str, Any]:
    """What a complete store says about its images, and their number as `images`. A file that has changed since this
    process read it is opened again.

    Raises InputError for a file that is no store, that is cut short, or that lacks images.
    """
    with _guard:
        opened = _opened.get(str(path))
        if opened is not None and not (path.exists() and opened.stamp == _stamp(path)):
            _opened.pop(str(path)).environment.close()
    about = parse_about(read_value(path, META), path)
    with one_line(path):
        there = _environment(path).stat()["entries"] - 1
    if about.get("version") != VERSION or about.get("images") != there:
        raise InputError(f"{path}: is of another version or lacks images; {_AGAIN}")
    return about


def verify_store(path: Path) -> None:
    """Check the structure of a store's file, without LMDB following it; the content of images is not looked at.

    Takes about 15 us of core time an image. Raises InputError for a file that is damaged, cut short or no store.
    """
    library = load_lmdb(path)
    _check_header(path)
    try:
        faults = library.verify.verify(path, subdir=False)
    except library.verify.VerifyError as error:
        faults = [str(error)]
    if faults:
        raise InputError(f"{path}: is damaged ({faults[0]}); {_AGAIN}")


def read_value(path: Path, key: str, size: int | None = None) -> bytes:
    """The bytes of an image. size: how many it must have. Raises InputError where the store has no such image."""
    with one_line(path), _environment(path).begin(buffers=True) as transaction:
        found = transaction.get(key.encode())
        if found is not None and size in (None, len(found)):
            return bytes(found)
        what = "is missing" if found is None else f"has {len(found)} bytes instead of {size}"
    raise InputError(f"{path}: {key} {what}; {_AGAIN}")


def _environment(path: Path) -> Any:
    """LMDB's environment, which each process opens once; several threads may read from it."""
    with _guard:
        if str(path) not in _opened:
            stamp = _stamp(path) if path.exists() else ()
            _opened[str(path)] = Opened(open_environment(path, readonly=True, create=False, map_size=0), stamp)
        return _opened[str(path)].environment


def open_environment(path: Path, **options: Any) -> Any:
    """LMDB's environment of a store; a missing or empty file becomes one where the options allow to write it.

    Raises InputError for a file that is no store, or that is cut short: a page that is not there ends the process.
    """
    library = load_lmdb(path)
    if options.get("readonly") or (path.exists() and path.stat().st_size):
        _check_header(path)
    with one_line(path):
        # the system may read ahead: an image has many pages, which it would else fetch from the disk one by one
        environment = library.open(str(path), subdir=False, lock=False, readahead=True, mode=0o666, **options)
    if os.path.getsize(path) < needed_bytes(environment):
        environment.close()
        raise InputError(f"{path}: is cut short; {_AGAIN}")
    return environment


def needed_bytes(environment: Any) -> int:
    """How long the file of an environment must be."""
    return (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]


def _check_header(path: Path) -> None:
    """Raise InputError for a file that LMDB, which divides by numbers from its first two pages, should not see."""
    try:
        with open(path, "rb") as file:
            first = _page_size(file.read(_HEAD))
            file.seek(first)
            second = _page_size(file.read(_HEAD))
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path}: file does not exist; make it again") from None
    if not first or second != first:
        raise InputError(f"{path}: is no LMDB store, or of another kind of computer; {_AGAIN}")


def _page_size(head: bytes) -> int:
    """Bytes of a page, from the beginning of one of the first two; 0 where it does not begin like these."""
    start = next((start for start in _PAGE_HEADERS if head[start : start + len(_MAGIC)] == _MAGIC), None)
    if start is None or len(head) < _HEAD:
        return 0
    size = struct.unpack_from("=I", head, start + _TO_SIZE)[0]
    return size if size in _PAGE_SIZES else 0


def _stamp(path: Path) -> tuple[int, ...]:
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def parse_about(content: bytes, path: Path) -> dict[str, Any]:
    """The record META. Raises InputError for anything but a JSON object."""
    try:
        return dict(parse_json(content))
    except (ValueError, TypeError):
        raise InputError(f"{path}: {META} is not what the toolbox writes; {_AGAIN}") from None


def load_lmdb(path: Path) -> ModuleType:
    """The package. Raises InputError where it is not installed; path: what needs it."""
    try:
        import lmdb.verify
    except ImportError:
        what = "lmdb 3 or newer is not installed; pip install -U lmdb (the extra [lmdb])"
        raise InputError(f"{path}: packed sets and crops need LMDB: {what}") from None
    return lmdb


@contextmanager
def one_line(path: Path, remedy: str = _AGAIN) -> Iterator[None]:
    """In this context an error of LMDB is an InputError about a file."""
    library = load_lmdb(path)
    try:
        yield
    except library.Error as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: {reason}; {remedy}") from None


def _close_inherited() -> None:
    """After a fork: an environment belongs to the process that opened it."""
    global _guard
    _guard = threading.Lock()
    for opened in _opened.values():
        opened.environment.close()
    _opened.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)
