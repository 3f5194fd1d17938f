"""Sharing numbered pieces of work among processes of this machine or among all that torchrun started."""

import logging
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Many
from multiprocessing.connection import Connection, wait
from typing import Any

import cv2
import torch
import torch.multiprocessing

from ...core.distributed import choose_device_type, use_device
from ...core.errors import InputError, raise_on_signals
from ...core.measure.machine import usable_cores
from ...core.process import end_with_parent

log = logging.getLogger(__name__)

#: Called with a device, the numbers of the pieces to do, and a function that reports finished frames. Picklable.
Work = Callable[[str, Iterator[int], Callable[[int], Any]], None]


def run_workers(work: Work, pieces: int, devices: Many[str], on_frame: Callable[[int], Any]) -> None:
    """Start one process per device; each takes the next piece when it is free. The first failure stops all processes
    and is raised here."""
    context = torch.multiprocessing.get_context("spawn")  # a forked process cannot use CUDA
    taken = context.Value("l", 0)
    cores = max(1, usable_cores() // len(devices))
    workers = {}
    try:
        for device in devices:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(work, pieces, device, cores, taken, sender), daemon=True)
            process.start()
            sender.close()  # only the worker holds it then, so that its end is noticed here
            workers[receiver] = process
        _listen(dict(workers), on_frame)
    finally:
        for process in workers.values():
            process.terminate()
        for process in workers.values():
            process.join()


def _listen(workers: dict[Connection, Any], on_frame: Callable[[int], Any]) -> None:
    """Pass on the workers' reports until all have ended; raise the first failure."""
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


def _work(work: Work, pieces: int, device: str, cores: int, taken: Any, sender: Connection) -> None:
    """One worker process: does pieces until none are left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this process
    raise_on_signals()
    end_with_parent(os.getppid())
    torch.set_num_threads(cores)
    cv2.setNumThreads(1)

    def draw() -> int:
        with taken.get_lock():
            number, taken.value = taken.value, taken.value + 1
        return number

    try:
        use_device(device)
        work(device, draw_numbers(draw, pieces), sender.send)
    except BrokenPipeError:
        raise SystemExit(1) from None  # the parent process has ended
    except (InputError, OSError) as error:
        sender.send(error)
    except Exception:
        sender.send(RuntimeError(f"a worker failed:\n{traceback.format_exc()}"))


def draw_numbers(draw: Callable[[], int], pieces: int) -> Iterator[int]:
    """The numbers that `draw` returns, until all pieces are taken."""
    while (number := draw()) < pieces:
        yield number


def choose_devices(device: str, threads: int, num_gpus: int) -> list[str]:
    """A device for each worker: `threads` workers (0 and 1: one) spread over `num_gpus` GPUs.

    device: auto (a GPU where there is one), cpu, cuda or mps. Raises InputError for a missing device.
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
