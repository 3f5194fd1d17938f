"""Measures tracking from image files to result files in a separate process: seconds of each stage, memory.

Job and answer are JSON on the standard streams. Without a checkpoint the weights are random; the cost is the same.

A job holds script, config, set, checkpoint, precision, compiled, crops, batch, backend, data_dir, copies, frames,
device, threads (0: PyTorch's choice), cache.
"""

import contextlib
import functools
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ...core.checkpoint import load_weights
from ...core.config import load_config
from ...core.distributed import own_device
from ...core.frame import Streams
from ...core.measure.gpu import describe_device
from ...core.measure.job import MeasurementJob, answer_job
from ...core.measure.peak_memory import peak_memory
from ...core.target import Target
from ...datasets.readers.folder import read_folder
from ...datasets.sequence import Frames, Sequence
from ...models import build_method, build_model
from ...models.weights import load_state
from ..evaluation.engine import follow
from ..evaluation.graph_cache import open_graphs
from ..evaluation.record import digest
from ..results.files import write_result
from ..tracker.crop_tracker import CropTracker
from ..tracker.forward_pass import TORCH, Mode

_WARM = 5  # frames of the warm-up: a CUDA graph is recorded in the second pass


def measure(job: MeasurementJob) -> MeasurementJob:
    """Track the sequences of a job. Returns frames, seconds in total and of each stage, MiB halfway and at the end."""
    device = own_device(job["device"])
    cv2.setNumThreads(1)  # as in evaluation
    if job["threads"]:
        torch.set_num_threads(job["threads"])
    # With one thread, core time can be measured for each stage, and other programs hardly change it.
    watch = Stopwatch(time.thread_time if device.type == "cpu" and job["threads"] == 1 else time.perf_counter)
    tracker = make_tracker(job, device, watch)
    whole = read_folder(job["data_dir"])
    sequences = [
        Sequence(f"{one.name}_{copy}", TimedFrames(one.frames, watch, job["frames"] or len(one)), one.boxes)
        for copy in range(job["copies"])
        for one in whole
    ]
    half, done, memory = sum(map(len, sequences)) // 2, 0, list[float]()

    def count(frames: int) -> None:
        nonlocal done
        done += frames
        if done >= half and not memory:
            memory.append(peak_memory())

    with tempfile.TemporaryDirectory() as folder:
        short = [replace(one, frames=TimedFrames(one.frames, watch, min(_WARM, len(one)))) for one in sequences]
        follow(tracker, short[: job["batch"]], lambda *result: None, batch=job["batch"])
        watch.seconds.clear()
        begin, begin_core = time.perf_counter(), time.process_time()
        follow(tracker, sequences, watch.saving(functools.partial(write_result, folder)), count, batch=job["batch"])
        seconds, core = time.perf_counter() - begin, time.process_time() - begin_core
    answer: MeasurementJob = {
        "frames": done,
        "track_s": seconds,
        "track_core_s": core,
        "by_core": watch.now is time.thread_time,
    }
    answer["stages"] = {name: watch.seconds[name] for name in Stopwatch.STAGES}
    answer |= {"half_mib": memory[0], "peak_mib": peak_memory(), "device": describe_device(device)}
    if device.type == "cuda":
        answer["gpu_peak_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
    return answer


def make_tracker(job: MeasurementJob, device: torch.device, watch: "Stopwatch") -> "TimedTracker":
    """The tracker of a job, whose stages are timed."""
    cfg = load_config(job["script"], job["config"], job["set"])
    torch.manual_seed(0)
    network = build_model(cfg)
    if job["checkpoint"]:
        load_state(network, load_weights(job["checkpoint"]), source=job["checkpoint"])
    mode = Mode(*(job[option.name] for option in fields(Mode)))

    def wait() -> None:
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()

    @contextlib.contextmanager
    def stage(name: str) -> Iterator[None]:
        """The network's time ends when the device has finished: tracking waits for it anyway."""
        with watch(name):
            yield
            if name == "network":
                wait()

    if mode.backend == TORCH:
        method = build_method(network, cfg)
        if method.compilable != "search":
            decide = method.decide

            def timed(*given: Any) -> Any:
                wait()
                with watch("learning"):
                    return decide(*given)

            method.decide = timed  # type: ignore[method-assign, assignment]
        return TimedTracker(CropTracker(method, device, mode, stage=stage), watch)
    weights = digest(job["checkpoint"]) if job["checkpoint"] else "random"
    forward = open_graphs(cfg, weights, lambda: network, folder=Path(job["cache"]))
    return TimedTracker(CropTracker(forward.method, device, mode, forward=forward, stage=stage), watch)


class Stopwatch:
    """Seconds of stages, from any thread."""

    #: Reading and decoding (in threads, beside the other stages); first frames; the tracker in later frames; of this
    #: the crops and the network; of the network's time what trackers that learn from each frame do beside it; writing.
    STAGES = ("decode", "start", "track", "crops", "network", "learning", "write")

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Adds the time inside to a stage."""
        begin = self.now()
        yield
        with self._lock:
            self.seconds[stage] += self.now() - begin

    def saving(self, save: Callable[..., None]) -> Callable[..., None]:
        """A `SaveResult` whose time is measured."""

        def watched(*result: Any) -> None:
            with self("write"):
                save(*result)

        return watched


@dataclass(frozen=True)
class TimedFrames(Frames):
    """The first `count` frames of others; decoding is measured."""

    frames: Frames
    watch: Stopwatch
    count: int

    def __len__(self) -> int:
        return min(self.count, len(self.frames))

    def __getitem__(self, index: int) -> list[np.ndarray]:
        with self.watch("decode"):
            return self.frames[index]

    def reduced(self, index: int, reduction: int) -> list[np.ndarray]:
        """As of the others."""
        with self.watch("decode"):
            return self.frames.reduced(index, reduction)

    @property
    def modalities(self) -> tuple[str, ...]:  # type: ignore[override]
        """As of the others."""
        return self.frames.modalities


@dataclass(frozen=True, eq=False)
class TimedTracker:
    """A tracker whose time in `start` and `track` is measured."""

    tracker: CropTracker
    watch: Stopwatch
    corrects = True

    @property
    def streams(self) -> Streams:
        """As the tracker's."""
        return self.tracker.streams

    def start(self, *given: Any) -> list[Target]:
        """As the tracker's, measured."""
        with self.watch("start"):
            return self.tracker.start(*given)

    def track(self, *given: Any) -> list[Target]:
        """As the tracker's, measured."""
        with self.watch("track"):
            return self.tracker.track(*given)

    def correct(self, *given: Any) -> list[Target]:
        """As the tracker's."""
        return self.tracker.correct(*given)

    def reduction(self, target: Target) -> int:
        """As the tracker's."""
        return self.tracker.reduction(target)


if __name__ == "__main__":
    answer_job(measure)
