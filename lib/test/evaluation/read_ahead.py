"""Frames of many sequences, decoded ahead by threads, with only a few of each sequence in memory."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from ...core.frame import Frame, Streams
from ...core.measure.machine import usable_cores
from ...datasets.sequence import Frames, Sequence
from ..tracker.protocol import read_frame

DEPTH = 2  # frames of each sequence that are decoded ahead


@contextmanager
def decoding_threads(batch: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for `batch` sequences; work that has not begun is cancelled at the end."""
    pool = ThreadPoolExecutor(max_workers=max(1, min(DEPTH * batch, usable_cores())))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class FrameQueue:
    """The frames of one sequence in order, as a tracker reads them.

    A frame is requested when the one `DEPTH` before it was tracked. So the size at which it is decoded depends on the
    sequence alone, not on timing.
    """

    def __init__(self, pool: ThreadPoolExecutor, streams: Streams, sequence: Sequence):
        self._pool, self._streams, self._sequence = pool, streams, sequence
        self._pending: deque[Future[Frame]] = deque()
        self._requested = 0
        self._size: tuple[int, int] | None = None  # height and width of the first frame
        self.request(1)

    def next_frame(self) -> Frame:
        """The next frame. Raises the error that occurred while it was read."""
        frame = self._pending.popleft().result()
        if self._size is None:
            self._size = frame.size
        return frame

    def request(self, reduction: int) -> None:
        """Request frames, decoded smaller by `reduction`, until `DEPTH` are pending."""
        while len(self._pending) < DEPTH and self._requested < len(self._sequence):
            self._pending.append(self._pool.submit(self._read, self._requested, reduction, self._size))
            self._requested += 1

    def _read(self, index: int, reduction: int, size: tuple[int, int] | None) -> Frame:
        frames, name = self._sequence.frames, self._sequence.name
        if reduction > 1 and size is not None:
            images = frames.reduced(index, reduction)
            if images[0].shape[:2] == (-(-size[0] // reduction), -(-size[1] // reduction)):
                return read_frame(images, self._streams, name, size, reduction)
        return read_frame(frames[index], self._streams, name)  # also a frame of another size


def read_ahead(frames: Frames) -> Iterator[list[np.ndarray]]:
    """The frames in order. A thread decodes the next frame while the caller works on this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = pool.submit(frames.__getitem__, 0)
        for following in range(1, len(frames) + 1):
            images = pending.result()
            if following < len(frames):
                pending = pool.submit(frames.__getitem__, following)
            yield images
