"""Frames that several settings look at, each decoded once."""

import threading
from collections.abc import Mapping
from collections.abc import Sequence as Many
from concurrent.futures import Future
from dataclasses import replace

import numpy as np

from ...datasets.sequence import Frames, Sequence


class SharedFrames(Frames):
    """The frames of a sequence for a number of readers. Each reader reads each frame once; a frame is decoded by the
    first one, and forgotten with the last one."""

    def __init__(self, frames: Frames, readers: int):
        self.modalities = frames.modalities
        self._frames, self._readers = frames, readers
        self._known: dict[tuple[int, int], tuple[Future[list[np.ndarray]], int]] = {}  # and who has read it
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return self.reduced(index, 1)

    def reduced(self, index: int, reduction: int) -> list[np.ndarray]:
        """As of the frames themselves. Raises what the first reader's attempt raised."""
        place = index, reduction
        with self._lock:
            future, readers = self._known.get(place, (Future(), 0))
            self._known[place] = future, readers + 1
            if readers + 1 == self._readers:
                del self._known[place]
        if readers == 0:
            try:
                plain = reduction == 1
                future.set_result(self._frames[index] if plain else self._frames.reduced(index, reduction))
            except BaseException as error:  # whatever it is, the other readers wait for it
                future.set_exception(error)
        return future.result()

    def content(self, index: int) -> list[bytes]:
        """As of the frames themselves."""
        return self._frames.content(index)


def share_frames(trials: Mapping[str, Many[str]], sequence: Sequence) -> list[Sequence]:
    """The sequence for each of its trials, named <trial>/<sequence>. trials: of each name `<number>/<sequence>`."""
    names, own = trials[sequence.name], sequence.name.partition("/")[2]
    shared = SharedFrames(sequence.frames, len(names))
    return [replace(sequence, name=f"{trial}/{own}", frames=shared) for trial in names]
