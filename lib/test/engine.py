"""Following sequences: one network per worker, the next frame decoded while this one is tracked, nothing done twice."""

import logging
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Ordered
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

import cv2
import numpy as np
import torch
import torch.multiprocessing
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from lib.core.distributed import choose_device_type
from lib.core.errors import InputError
from lib.core.machine import usable_cores
from lib.datasets.sequence import Frames, Sequence
from lib.test.tracker import Target, Tracker

log = logging.getLogger(__name__)

#: Called with the name, boxes [N, 4] xywh, seconds [N, 2] (of the tracker alone, from frame to frame) and confidence
#: [N, 2] (score, 1 where the target was found) of a sequence that was followed to its end.
Save = Callable[[str, np.ndarray, np.ndarray, np.ndarray], None]


@dataclass(frozen=True, eq=False)
class Step:
    """One tracked frame."""

    index: int
    images: list[np.ndarray]  # [H, W, 3] uint8 RGB per modality
    target: Target  # after this frame
    seconds: float  # cropping, network and box mapping; not the decoding of the images


@dataclass(frozen=True)
class Job:
    """What every worker needs to know. Picklable."""

    build: Callable[[str], Tracker]  # device -> tracker
    save: Save
    sequences: Ordered[Sequence]
    in_order: bool = False  # taken as they come, not the longest first


def follow(
    tracker: Tracker,
    sequences: Iterable[Sequence],
    save: Save,
    on_frame: Callable[[int], Any] = lambda count: None,
) -> None:
    """Follow each sequence to its end and `save` what came out; `on_frame` hears of every finished frame.

    Raises InputError with the path when a frame cannot be read: nothing of that sequence is saved then.
    """
    for sequence in sequences:
        boxes, seconds, confidence, before = [], [], [], time.perf_counter()
        for step in follow_steps(tracker, sequence):
            now = time.perf_counter()
            boxes.append(step.target.box)
            seconds.append((step.seconds, now - before))
            confidence.append((step.target.score, step.target.visible))
            before = now
            on_frame(1)
        save(sequence.name, np.stack(boxes), np.array(seconds), np.array(confidence, np.float64))


def follow_steps(tracker: Tracker, sequence: Sequence) -> Iterator[Step]:
    """Follow one sequence from its first box, frame by frame.

    Raises InputError when the sequence has no frames or no box for its first one.
    """
    if not len(sequence) or not len(sequence.boxes) or (sequence.annotated is not None and sequence.annotated[0] != 0):
        raise InputError(f"{sequence.name}: no box for the first frame; the sequence cannot be started")
    targets: list[Target] = []
    for index, images in enumerate(read_ahead(sequence.frames)):
        begin = time.perf_counter()
        if index == 0:
            targets = tracker.start([images], [sequence.boxes[0]], [sequence.name])
        else:
            targets = tracker.track(targets, [images])
        yield Step(index, images, targets[0], time.perf_counter() - begin)


def read_ahead(frames: Frames) -> Iterator[list[np.ndarray]]:
    """The frames in order; a thread decodes the next one while the caller works on this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(frames.__getitem__, 0)
        for following in range(1, len(frames) + 1):
            images = coming.result()
            if following < len(frames):
                coming = pool.submit(frames.__getitem__, following)
            yield images


def run_job(job: Job, devices: Ordered[str]) -> None:
    """Follow all sequences of a job, with a progress bar over frames: one worker process per device in `devices`,
    all in this process where there is one.

    The longest sequences are taken first, unless the job says otherwise, and each worker takes the next one when it is
    free, so that all end at about the same time. The first failure stops every worker and is raised here; finished
    sequences stay saved.
    """
    if not job.in_order:
        job = replace(job, sequences=sorted(job.sequences, key=len, reverse=True))
    with (
        logging_redirect_tqdm(),
        tqdm(total=sum(map(len, job.sequences)), unit="frame", dynamic_ncols=True, smoothing=0.1) as bar,
    ):
        if len(devices) == 1:
            follow(job.build(devices[0]), job.sequences, job.save, bar.update)
        else:
            _run_workers(job, devices, bar.update)


def choose_devices(device: str, threads: int, num_gpus: int) -> list[str]:
    """A device for each worker: `threads` workers (0 and 1: one) in turns over `num_gpus` GPUs.

    device: auto (a GPU where there is one), cpu, cuda or mps. Raises InputError when it is not there.
    """
    if device == "auto":
        log.info("device: %s", choose_device_type())
    device = choose_device_type(device)
    if threads < 0 or num_gpus < 1:
        raise InputError(f"--threads {threads} --num_gpus {num_gpus}: expected 0 or more threads and 1 or more GPUs")
    if device != "cuda":
        return [device] * max(threads, 1)
    if num_gpus > torch.cuda.device_count():
        raise InputError(f"--num_gpus {num_gpus}: this machine has {torch.cuda.device_count()}")
    return [f"cuda:{worker % num_gpus}" for worker in range(max(threads, 1))]


def _run_workers(job: Job, devices: Ordered[str], on_frame: Callable[[int], Any]) -> None:
    context = torch.multiprocessing.get_context("spawn")  # a forked process cannot use CUDA
    taken = context.Value("l", 0)
    cores = max(1, usable_cores() // len(devices))
    workers = {}
    try:
        for device in devices:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(job, device, cores, taken, sender), daemon=True)
            process.start()
            sender.close()  # so that only the worker holds it, and its end is seen here
            workers[receiver] = process
        _listen(dict(workers), on_frame)
    finally:
        for process in workers.values():
            process.terminate()
        for process in workers.values():
            process.join()


def _listen(workers: dict[Connection, Any], on_frame: Callable[[int], Any]) -> None:
    """Hear the workers out until all have ended; raise the first failure."""
    while workers:
        ready = wait(list(workers))
        for receiver in [receiver for receiver in workers if receiver in ready]:
            try:
                report = receiver.recv()
            except EOFError:
                process = workers.pop(receiver)
                process.join()
                if process.exitcode:
                    message = f"a worker ended with status {process.exitcode}; out of memory? try fewer --threads"
                    raise InputError(message) from None
                continue
            if isinstance(report, Exception):
                raise report
            on_frame(report)


def _work(job: Job, device: str, cores: int, taken: Any, sender: Connection) -> None:
    """One worker: builds one network, then takes sequences until none are left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this process
    signal.signal(signal.SIGTERM, _leave)
    torch.set_num_threads(cores)
    cv2.setNumThreads(1)
    try:
        follow(job.build(device), _take(job.sequences, taken), job.save, sender.send)
    except BrokenPipeError:
        raise SystemExit(1) from None  # the parent is gone: nobody waits for the rest
    except (InputError, OSError) as error:
        sender.send(error)
    except Exception:
        sender.send(RuntimeError(f"a worker failed:\n{traceback.format_exc()}"))


def _take(sequences: Ordered[Sequence], taken: Any) -> Iterator[Sequence]:
    while True:
        with taken.get_lock():
            index, taken.value = taken.value, taken.value + 1
        if index >= len(sequences):
            return
        yield sequences[index]


def _leave(*_: Any) -> None:
    """SIGTERM unwinds the stack, so that half-written files are removed."""
    raise SystemExit(1)
