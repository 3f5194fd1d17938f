"""An index of the numbers in a set's annotation files: TrackingNet's 30,132 files are parsed once, not at each start.

It is kept in the user's cache folder. A file is parsed again when its inode, size, modification or change time has
changed. The numbers are memory-mapped, so all processes of a training share them. Checksums are verified when the index
is opened; if they do not match, the files are parsed.
"""

import hashlib
import json
import logging
import os
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np

from ..core.atomic import write_atomically
from ..core.bounded import parse_json
from ..core.paths import cache_folder

log = logging.getLogger(__name__)

VERSION = 1
MIN_FILES = 500  # with fewer, parsing is as fast as opening an index
SETTLED = 2_000_000_000  # ns; a file that changed more recently could change again within the same time stamp

Stamp = list[int]  # inode, size, mtime and ctime in ns
Place = tuple[Stamp, int, int, int]  # stamp, first value, rows, columns

_current: ContextVar["Index | None"] = ContextVar("index", default=None)


class Index:
    """The numbers in one data set's annotation files."""

    def __init__(self, folder: Path):
        """folder: where the index lies; it need not exist."""
        self.folder = folder
        self._places, self._values = _load(folder)
        self._found: dict[str, tuple[Stamp, np.ndarray]] = {}
        self._read = 0

    def numbers(self, path: str | Path, columns: int, read: Callable[[], np.ndarray]) -> np.ndarray:
        """[rows, columns] float64 of a file, or of a folder of files, read-only: from the index, or else from `read`.

        Raises what `read` raises.
        """
        key, now = f"{columns}:{path}", time.time_ns()
        try:
            stamp, latest = _stamp(path)
        except OSError:
            return read()  # raises the right message
        known = self._places.get(key)
        if known is not None and list(known[0]) == stamp:
            _, start, rows, width = known
            values = self._values[start : start + rows * width].reshape(rows, width)
        else:
            values = read()
            self._read += 1
        values.flags.writeable = False
        if latest < now - SETTLED:
            self._found[key] = stamp, values
        return values

    def save(self) -> None:
        """Write the index if a file was parsed and there are enough files. A failure to write is only logged."""
        if not self._read or len(self._found) < MIN_FILES:
            return
        places, start = {}, 0
        for key, (stamp, values) in self._found.items():
            places[key] = stamp, start, *values.shape
            start += values.size
        numbers = np.concatenate([values.ravel() for _, values in self._found.values()])
        checksum = zlib.crc32(numbers.data)
        name = f"values-{checksum:08x}-{len(numbers)}.npy"
        checksums = [checksum, zlib.crc32(json.dumps(places).encode())]
        content = {"version": VERSION, "values": name, "count": len(numbers), "checksums": checksums, "places": places}
        try:
            with write_atomically(self.folder / name) as temporary, temporary.open("wb") as file:
                np.save(file, numbers)
            with write_atomically(self.folder / "index.json") as temporary:
                temporary.write_text(json.dumps(content), encoding="utf-8")
            for old in self.folder.glob("values-*.npy"):
                if old.name != name:
                    old.unlink(missing_ok=True)
        except OSError as error:
            log.info("%s: the index cannot be written (%s); annotations are parsed at each start", self.folder, error)


def cached_numbers(path: str | Path, columns: int, read: Callable[[], np.ndarray]) -> np.ndarray:
    """The numbers of a file from the open index, if there is one, or else from `read`."""
    index = _current.get()
    return read() if index is None else index.numbers(path, columns, read)


@contextmanager
def open_index(name: str, root: Path) -> Iterator[None]:
    """In this context, annotation files of data set `name` in `root` are read from its index where possible."""
    home = _home()
    if home is None:
        yield
        return
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]
    index = Index(home / f"{name}-{digest}")
    token = _current.set(index)
    try:
        yield
        index.save()
    finally:
        _current.reset(token)


def _stamp(path: str | Path) -> tuple[Stamp, int]:
    """Stamp and latest change (ns) of a file, or of a folder, where the number, sizes and times of its files count."""
    status = os.stat(path)
    stamp, latest = [status.st_ino, status.st_size], [status.st_mtime_ns, status.st_ctime_ns]
    if not stat.S_ISDIR(status.st_mode):
        return [*stamp, *latest], max(latest)
    with os.scandir(path) as entries:
        inside = [entry.stat() for entry in entries]
    latest += [max(max(status.st_mtime_ns, status.st_ctime_ns) for status in inside)] if inside else []
    return [*stamp, *latest, len(inside), sum(status.st_size for status in inside)], max(latest)


def _home() -> Path | None:
    """`index` in the user's cache folder; None for a user without a home."""
    try:
        return cache_folder() / "index"
    except RuntimeError:
        return None


def _load(folder: Path) -> tuple[dict[str, Place], np.ndarray]:
    """Places by key, and the values; empty where the index is absent, of another version or damaged."""
    try:
        content = parse_json((folder / "index.json").read_text(encoding="utf-8"))
        if content["version"] == VERSION:
            values = np.load(folder / Path(content["values"]).name, mmap_mode="r", allow_pickle=False).view(np.ndarray)
            checksums = [zlib.crc32(values.data), zlib.crc32(json.dumps(content["places"]).encode())]
            if values.shape == (content["count"],) and checksums == content["checksums"]:
                return content["places"], values
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        log.debug("%s: no usable index", folder)
    return {}, np.zeros(0)
