"""Writing an LMDB store of images (`lib.datasets.store`), so that an interrupted run can go on."""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from .store import (
    META,
    UNFINISHED,
    VERSION,
    load_lmdb,
    needed_bytes,
    one_line,
    open_environment,
    parse_about,
    verify_store,
)

COMMIT_IMAGES, COMMIT_BYTES = 1000, 1 << 26  # that are written at once
FIRST_MAP = 1 << 28  # bytes; twice as many whenever they are full. The file itself is as large as its content.


def unfinished(path: Path) -> Path:
    """Where the images of a store are until it is complete."""
    return path.with_name(path.name + UNFINISHED)


class StoreWriter:
    """A store that is being filled. What an earlier run put into it is still there."""

    def __init__(self, path: Path, about: Mapping[str, Any]):
        """path: of the complete store. about: what the store says about its images. Raises InputError where the
        unfinished store says something else."""
        self._path, self._temporary = path, unfinished(path)
        self._about = json.loads(json.dumps({"version": VERSION, **about}))  # as it is read again
        self._pending: dict[bytes, bytes] = {}
        self._waiting = 0  # bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        #: when an earlier run put the last image in, ns; 0 where there was none
        self.before = self._temporary.stat().st_mtime_ns if self._temporary.exists() else 0
        if self.before and self._temporary.stat().st_size:
            verify_store(self._temporary)
        self._environment = open_environment(self._temporary, map_size=FIRST_MAP)
        self._full: type[Exception] = load_lmdb(path).MapFullError
        try:
            self._begin()
        except InputError:
            self._environment.close()
            raise

    def _begin(self) -> None:
        with self._told(), self._environment.begin() as transaction:
            before = transaction.get(META.encode())
        if before is not None and parse_about(before, self._temporary) | {"images": 0} != self._about | {"images": 0}:
            raise InputError(f"{self._temporary}: was begun by another command; repeat that one, or remove this file")
        self._say(images=None)

    def size(self, key: str) -> int | None:
        """Bytes of an image that is in the store already; None where it is not."""
        with self._told(), self._environment.begin(buffers=True) as transaction:
            found = self._pending.get(key.encode(), transaction.get(key.encode()))
            return None if found is None else len(found)

    def checksum(self, key: str) -> int:
        """CRC-32 of an image that is in the store already."""
        with self._told(), self._environment.begin(buffers=True) as transaction:
            return zlib.crc32(self._pending.get(key.encode(), transaction.get(key.encode())))

    def put(self, key: str, value: bytes) -> None:
        """Put an image into the store. After many of them they are on disk, whatever happens to this process."""
        name = key.encode()
        if len(name) > self._environment.max_key_size():
            raise InputError(f"{self._path}: the name {key!r} is longer than a store can hold; give it a shorter one")
        self._pending[name] = value
        self._waiting += len(value)
        if len(self._pending) >= COMMIT_IMAGES or self._waiting >= COMMIT_BYTES:
            self.commit()

    def commit(self) -> None:
        """Write what is waiting."""
        with self._told():
            while self._pending:
                try:
                    with self._environment.begin(write=True) as transaction:
                        for key, value in self._pending.items():
                            transaction.put(key, value)
                    self._pending.clear()
                    self._waiting = 0
                except self._full:
                    self._environment.set_mapsize(2 * self._environment.info()["map_size"])

    def complete(self, images: int) -> None:
        """Give the store its name. images: how many it must hold.

        Raises InputError where it holds others as well: what was stored has changed since an earlier run.
        """
        self.commit()
        there = self._environment.stat()["entries"] - 1
        if there != images:
            what = f"holds {there} images instead of {images}: the data set has changed since it was begun"
            raise InputError(f"{self._temporary}: {what}; remove this file and give the command again")
        self._say(images=images)
        self.commit()
        needed = needed_bytes(self._environment)
        self.close()
        with open(self._temporary, "rb+") as file:
            file.truncate(max(needed, os.fstat(file.fileno()).st_size))  # freed pages at the end are never written
            os.fsync(file.fileno())
        self._temporary.replace(self._path)

    def close(self) -> None:
        """Write what is waiting, and close the file; what is there stays for a later run."""
        try:
            if self._pending:
                self.commit()
        finally:
            self._environment.close()

    def _say(self, images: int | None) -> None:
        self._pending[META.encode()] = json.dumps(self._about | {"images": images}).encode()

    def _told(self) -> AbstractContextManager[None]:
        return one_line(self._temporary, "free some space or choose another folder, then give the command again")


@contextmanager
def fill_store(path: Path, about: Mapping[str, Any]) -> Iterator[StoreWriter]:
    """Yield a writer of a store, which must be told when it is `complete`; else it stays unfinished, for a later run.

    Raises InputError as StoreWriter does, and where the file cannot be written.
    """
    store = StoreWriter(path, about)
    try:
        yield store
    finally:
        store.close()
