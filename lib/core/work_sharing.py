"""Processes that torchrun started share out work: numbers drawn from the store that they meet at, no collectives."""

import json
import os
import time
from collections.abc import Iterable

from torch.distributed import Store
from torch.distributed.rendezvous import rendezvous

_PAUSE = 0.2  # seconds


class WorkSharing:
    """The other processes, on any machine."""

    def __init__(self, store: Store, rank: int, size: int):
        self.rank, self.size, self._store = rank, size, store

    def draw(self) -> int:
        """The next number from 0: each goes to one process."""
        return self._store.add("drawn", 1) - 1

    def count(self, done: int) -> int:
        """What all processes have counted so far, with `done` of this one on top."""
        return self._store.add("counted", done)

    def gather(self, words: Iterable[str]) -> set[str]:
        """The words of all processes, in all of them. Raises RuntimeError where one never comes. Once only."""
        self._store.set(f"words/{self.rank}", json.dumps(sorted(words)))
        return {word for rank in range(self.size) for word in json.loads(self._store.get(f"words/{rank}"))}

    def leave(self) -> None:
        """Rank 0, which holds the store, waits until the others need it no more."""
        left = self._store.add("left", 1)
        while self.rank == 0 and left < self.size:
            time.sleep(_PAUSE)
            left = self._store.add("left", 0)


def share_work() -> WorkSharing | None:
    """The other processes where torchrun started this one with others."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    store, rank, size = next(iter(rendezvous("env://")))
    return WorkSharing(store, rank, size)
