"""Tracking whole sequences: several at a time in one batch, with frames decoded ahead."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ...core.errors import InputError
from ...core.frame import Frame
from ...core.measure.machine import usable_cores
from ...core.target import Target
from ...core.view import View
from ...core.work_sharing import WorkSharing
from ...datasets.sequence import Sequence
from ..tracker.protocol import HeatMap, Tracker
from .read_ahead import FrameQueue, decoding_threads
from .workers import draw_numbers, run_workers

log = logging.getLogger(__name__)

_REPORT_INTERVAL = 1.0  # seconds between two progress reports of a process to the others

#: Called at the end of a sequence with its name, boxes [N, 4] xywh, seconds [N, 2] (of the tracker alone, from frame to
#: frame) and confidence [N, 2] (score, 1 where the target was found).
SaveResult = Callable[[str, np.ndarray, np.ndarray, np.ndarray], None]

#: Called after every frame of every sequence with its name, the frame's number from 0, the target, and height and
#: width of the frame.
OnTarget = Callable[[str, int, Target, tuple[int, int]], None]


class Watcher(Protocol):
    """Looks on while the first of the sequences in a batch is tracked."""

    def wants(self) -> bool:
        """Whether the next frame is to be shown."""

    def observe(self, targets: Many[Target], views: Many[Many[View]], heats: Many[HeatMap | None]) -> None:
        """As `Observer`, in a frame that is to be shown."""

    def show(self, sequence: Sequence, index: int, frame: Frame, target: Target) -> None:
        """Show a frame, its number from 0, and the target after it."""


def _alone(sequence: Sequence) -> Many[Sequence]:
    return (sequence,)


@dataclass(frozen=True)
class TrackingJob:
    """The sequences to track and how: what every worker process gets. Picklable."""

    build: Callable[[str], Tracker]  # device -> tracker
    save: SaveResult
    sequences: Many[Sequence]
    in_order: bool = False  # in the given order instead of the longest first
    batch: int = 1  # sequences that one network tracks at a time
    watcher: Watcher | None = None  # for a single process
    on_target: OnTarget | None = None
    #: The sequences that are tracked in place of one: together, by the same worker, in this order.
    expand: Callable[[Sequence], Many[Sequence]] = _alone

    def ordered(self) -> "TrackingJob":
        """The job with its sequences in the order in which they are tracked."""
        return self if self.in_order else replace(self, sequences=sorted(self.sequences, key=len, reverse=True))

    @property
    def frames(self) -> int:
        """The number of frames of all sequences that are tracked."""
        return sum(len(one) for sequence in self.sequences for one in self.expand(sequence))

    def work(self, device: str, numbers: Iterator[int], on_frame: Callable[[int], Any]) -> None:
        """Track the sequences with these indices with one network on a device."""
        groups = (self.expand(self.sequences[k]) for k in numbers)
        _follow(self.build(device), groups, self.save, on_frame, self.batch, self.watcher, self.on_target)


@dataclass(eq=False)
class _ActiveSequence:
    """A sequence that is being tracked."""

    group: int  # those of one group are tracked together
    sequence: Sequence
    queue: FrameQueue
    target: Target | None = None  # after the last frame
    boxes: list[np.ndarray] = field(default_factory=list)
    seconds: list[tuple[float, float]] = field(default_factory=list)
    confidence: list[tuple[float, float]] = field(default_factory=list)


def follow(
    tracker: Tracker,
    sequences: Iterable[Sequence],
    save: SaveResult,
    on_frame: Callable[[int], Any] = lambda count: None,
    *,
    batch: int = 1,
    watcher: Watcher | None = None,
) -> None:
    """Track each sequence to its end and `save` its result; `on_frame` is called with the number of finished frames.

    `batch` sequences are tracked together; when one ends, the next one takes its place. Each gets the same boxes as if
    it were tracked alone. The seconds of a step are divided equally among its sequences.
    Raises InputError with the path when a frame cannot be read; that sequence is then not saved.
    """
    _follow(tracker, ((sequence,) for sequence in sequences), save, on_frame, batch, watcher)


def _follow(
    tracker: Tracker,
    groups: Iterable[Many[Sequence]],
    save: SaveResult,
    on_frame: Callable[[int], Any],
    batch: int,
    watcher: Watcher | None,
    on_target: OnTarget | None = None,
) -> None:
    """As `follow`, with `batch` groups of sequences at a time."""
    waiting, runs, before = enumerate(groups), list[_ActiveSequence](), time.perf_counter()
    with decoding_threads(batch) as pool:
        while True:
            while len({run.group for run in runs}) < batch and (entry := next(waiting, None)) is not None:
                for sequence in entry[1]:
                    check_start(sequence)
                    queue = FrameQueue(pool, tracker.streams, sequence)
                    runs.append(_ActiveSequence(entry[0], sequence, queue))
            if not runs:
                return
            alone = _step(tracker, runs, watcher if watcher is not None and watcher.wants() else None, on_target)
            now = time.perf_counter()
            for run in runs:
                run.seconds.append((alone / len(runs), (now - before) / len(runs)))
            before = now
            on_frame(len(runs))
            for run in [run for run in runs if len(run.boxes) == len(run.sequence)]:
                save(run.sequence.name, np.stack(run.boxes), np.array(run.seconds), np.array(run.confidence))
                runs.remove(run)


def _step(
    tracker: Tracker, runs: Many[_ActiveSequence], watcher: Watcher | None = None, on_target: OnTarget | None = None
) -> float:
    """Track one frame of every sequence. Returns the seconds of the tracker alone, without the wait for frames."""
    frames = [run.queue.next_frame() for run in runs]
    begin = time.perf_counter()
    old = [(run, frame) for run, frame in zip(runs, frames, strict=True) if run.target is not None]
    new = [(run, frame) for run, frame in zip(runs, frames, strict=True) if run.target is None]
    targets = [run.target for run, _ in old if run.target]
    observe = None if watcher is None else watcher.observe
    moved = tracker.track(targets, [frame for _, frame in old], observe) if old else []
    if new:
        firsts = [run.sequence.first_box(tracker.streams) for run, _ in new]
        names = [run.sequence.name for run, _ in new]
        moved += tracker.start([frame for _, frame in new], firsts, names)
    seconds = time.perf_counter() - begin
    for (run, frame), target in zip(old + new, moved, strict=True):
        run.target = target
        if on_target is not None:
            on_target(run.sequence.name, len(run.boxes), target, frame.size)
        run.boxes.append(target.box)
        run.confidence.append((target.score, float(target.found)))
        run.queue.request(tracker.reduction(target))
    if watcher is not None and runs[0].target is not None:
        watcher.show(runs[0].sequence, len(runs[0].boxes) - 1, frames[0], runs[0].target)
    return seconds


def check_start(sequence: Sequence) -> None:
    """Raises InputError for a sequence without frames or without a box for its first frame."""
    if not len(sequence) or not len(sequence.boxes) or (sequence.annotated is not None and sequence.annotated[0] != 0):
        raise InputError(f"{sequence.name}: no box for the first frame; the sequence cannot be started")


def run_tracking(job: TrackingJob, devices: Many[str]) -> None:
    """Track all sequences of a job, with a progress bar over frames: one worker process per entry of `devices`, or
    this process alone where there is one entry.

    The longest sequences come first, unless the job says otherwise. Each worker takes the next one when it is free, so
    that all end at about the same time. The first failure stops every worker and is raised here; finished sequences
    stay saved.
    """
    job = job.ordered()
    with (
        logging_redirect_tqdm(),
        tqdm(total=job.frames, unit="frame", dynamic_ncols=True, smoothing=0.1) as bar,
    ):
        if len(devices) == 1:
            job.work(devices[0], iter(range(len(job.sequences))), bar.update)
        else:
            run_workers(job.work, len(job.sequences), devices, bar.update)


def run_rank(job: TrackingJob, device: str, sharing: WorkSharing) -> None:
    """Track the share of this process, where torchrun started several, on one machine or more. Each process takes the
    next sequence when it has a free place.

    Returns when this process has finished; rank 0 returns when all have. A failure ends this process alone; torchrun
    then ends the others.
    """
    job = job.ordered()
    uncounted, reported = 0, time.monotonic()
    with (
        logging_redirect_tqdm(),
        tqdm(
            total=job.frames,
            unit="frame",
            dynamic_ncols=True,
            smoothing=0.1,
            disable=sharing.rank > 0,
        ) as bar,
    ):

        def report(frames: int) -> None:
            nonlocal uncounted, reported
            uncounted += frames
            if (now := time.monotonic()) - reported >= _REPORT_INTERVAL:
                bar.update(sharing.count(uncounted) - bar.n)
                uncounted, reported = 0, now

        job.work(device, draw_numbers(sharing.draw, len(job.sequences)), report)
        sharing.count(uncounted)
        sharing.wait_for_all()
        bar.update(sharing.count(0) - bar.n if sharing.rank == 0 else 0)


def share_cores() -> None:
    """Use this process's share of the machine's cores: torchrun by itself gives each process one thread."""
    torch.set_num_threads(max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    cv2.setNumThreads(1)
