"""Sharing work among the processes that torchrun started: they draw numbers from a common store."""

import json
import os
import time
from collections.abc import Iterable

from torch.distributed import Store
from torch.distributed.rendezvous import rendezvous

from .process import end_with_parent

_PAUSE = 0.2  # seconds


class WorkSharing:
    """The connection of this process to all others, on one machine or more."""

    def __init__(self, store: Store, rank: int, size: int):
        self.rank, self.size, self._store = rank, size, store

    def draw(self) -> int:
        """The next number, from 0; each number goes to one process."""
        return self._store.add("drawn", 1) - 1

    def count(self, done: int) -> int:
        """Add `done` to the common count. Returns the count of all processes so far."""
        return self._store.add("counted", done)

    def gather(self, words: Iterable[str]) -> set[str]:
        """The union of the words of all processes, returned in each of them. May be called once. Raises RuntimeError
        when a process does not call it in time."""
        self._store.set(f"words/{self.rank}", json.dumps(sorted(words)))
        return {word for rank in range(self.size) for word in json.loads(self._store.get(f"words/{rank}"))}

    def wait_for_all(self) -> None:
        """End the sharing. Rank 0, which holds the store, waits until all others have called this."""
        left = self._store.add("left", 1)
        while self.rank == 0 and left < self.size:
            time.sleep(_PAUSE)
            left = self._store.add("left", 0)


def share_work() -> WorkSharing | None:
    """Connect to the other processes; None where this process runs alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    end_with_parent()
    store, rank, size = next(iter(rendezvous("env://")))
    return WorkSharing(store, rank, size)
