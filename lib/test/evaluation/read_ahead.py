"""Frames of many sequences, decoded by threads before they are asked for, no more than a few of each in memory."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from ...core.frame import Frame
from ...core.measure.machine import usable_cores
from ...datasets.sequence import Frames, Sequence
from ..tracker.protocol import read_frame

DEPTH = 2  # frames of each sequence that are decoded ahead


@contextmanager
def decoding_threads(batch: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that as many sequences share; what they have not begun is dropped at the end."""
    pool = ThreadPoolExecutor(max_workers=max(1, min(DEPTH * batch, usable_cores())))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class FrameQueue:
    """The frames of one sequence as a tracker reads them, in order.

    A frame is asked for when the one `DEPTH` before it was tracked: at which size it is decoded depends on the sequence
    alone, not on how fast anything is.
    """

    def __init__(self, pool: ThreadPoolExecutor, modalities: int, sequence: Sequence):
        self._pool, self._modalities, self._sequence = pool, modalities, sequence
        self._coming: deque[Future[Frame]] = deque()
        self._asked = 0
        self._size: tuple[int, int] | None = None  # height and width of the first frame
        self.ask(1)

    def take(self) -> Frame:
        """The next frame. Raises what reading it raised."""
        frame = self._coming.popleft().result()
        if self._size is None:
            self._size = frame.size
        return frame

    def ask(self, reduction: int) -> None:
        """Have frames decoded until `DEPTH` are on their way, smaller by `reduction`."""
        while len(self._coming) < DEPTH and self._asked < len(self._sequence):
            self._coming.append(self._pool.submit(self._read, self._asked, reduction, self._size))
            self._asked += 1

    def _read(self, index: int, reduction: int, size: tuple[int, int] | None) -> Frame:
        frames, name = self._sequence.frames, self._sequence.name
        if reduction > 1 and size is not None:
            images = frames.reduced(index, reduction)
            if images[0].shape[:2] == (-(-size[0] // reduction), -(-size[1] // reduction)):
                return read_frame(images, self._modalities, name, size, reduction)
        return read_frame(frames[index], self._modalities, name)  # also a frame of another size than the first one


def read_ahead(frames: Frames) -> Iterator[list[np.ndarray]]:
    """The frames in order; a thread decodes the next one while the caller works on this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(frames.__getitem__, 0)
        for following in range(1, len(frames) + 1):
            images = coming.result()
            if following < len(frames):
                coming = pool.submit(frames.__getitem__, following)
            yield images
