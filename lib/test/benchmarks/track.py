"""The cost of tracking from image files to result files, and the share of each stage."""

import math
import tempfile
from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from ...core.measure.benchmark import alternate, machine_words, run_measurement
from ...core.table import Table
from ...datasets.readers.folder import read_folder
from ..tracker.forward_pass import CROPS, TORCH, Mode
from .model import VARIANTS as PASSES
from .model import MeasuredNetwork

TRACK_JOB = f"{__package__}.track_job"
#: Variant -> precision, whether compiled, how crops are cut.
VARIANTS = {
    f"{name}{'' if crops == 'exact' else ' fast crops'}": (*variant, crops)
    for crops in CROPS
    for name, variant in PASSES.items()
}
STAGES = ("network", "learning", "start", "crop", "decode", "rest")
_BY_CORE = "shares and ratio of the time of all threads on the core, which other programs hardly change."
_BY_CLOCK = "shares of the time on the clock. Frames are decoded in threads beside the rest; waiting was not hidden."
Records = dict[str, list[dict[str, Any]]]


class Workload(NamedTuple):
    """The sequences that are tracked, and the batch sizes."""

    data_dir: str
    frames: int  # of each sequence, at most; 0: all
    batches: tuple[int, ...]
    copies: int = 1  # how often each sequence is tracked, at least
    backends: tuple[str, ...] = (TORCH,)


def measure_tracking(
    network: MeasuredNetwork, variants: Many[str], work: Workload, *, repeats: int, device: str, threads: int = 0
) -> Records:
    """Side -> one record per repetition. A side is `<variant>, batch <B>`, with the backend where it is not PyTorch.
    The sides alternate; every run is a separate process.

    Sequences are repeated as often as the largest batch needs. threads: on a CPU; 0: PyTorch's choice. Raises
    InputError with the last line of a process that fails, for a folder without sequences, and for options of a side
    that the device does not support.
    """
    copies = max(work.copies, math.ceil(max(work.batches) / len(read_folder(work.data_dir))))
    job: dict[str, Any] = {"script": network.script, "config": network.config, "set": list(network.changes)}
    job |= {"checkpoint": network.checkpoint, "data_dir": str(Path(work.data_dir).resolve()), "frames": work.frames}
    sides = {
        f"{variant}{'' if backend == TORCH else f' {backend}'}, batch {batch}": _mode(variant, batch, backend)
        for backend in work.backends
        for variant in variants
        for batch in work.batches
    }
    for mode in sides.values():
        mode.check(device)
    with tempfile.TemporaryDirectory() as cache:
        job |= {"copies": copies, "device": device, "threads": threads, "cache": cache}

        def run(side: str, _: int) -> dict[str, Any]:
            return split(run_measurement(TRACK_JOB, job | asdict(sides[side]), name=f"{network.config}, {side}"))

        for side, mode in sides.items():
            if mode.backend != TORCH:
                run(side, 0)  # not counted: it makes graphs
                break

        return alternate(list(sides), run, repeats=repeats)


def _mode(variant: str, batch: int, backend: str) -> Mode:
    precision, compiled, crops = VARIANTS[variant]
    return Mode(precision, crops, compiled, batch, backend)


def split(record: dict[str, Any]) -> dict[str, Any]:
    """A record with frames per second and the share of each stage: of the core time where it is known, else of the wall
    time.

    Learning is what a tracker that learns from each frame does beside its network. In wall time, decoding runs in
    threads beside the other stages: its share is the time that the tracker waited for frames, together with the
    engine's own work between two frames.
    """
    stages, whole = record["stages"], record["track_core_s" if record["by_core"] else "track_s"]
    seconds = {"network": stages["network"] - stages["learning"], "learning": stages["learning"]}
    seconds |= {"start": stages["start"], "crop": stages["crops"], "decode": stages["decode"]}
    if not record["by_core"]:
        seconds["decode"] = whole - stages["start"] - stages["track"] - stages["write"]
    seconds["rest"] = whole - sum(seconds.values())
    rates = {"frames_per_s": record["frames"] / record["track_s"]}
    rates["frames_per_core_s"] = record["frames"] / record["track_core_s"]
    return record | rates | {"shares": {name: value / whole for name, value in seconds.items()}}


def summarise_tracking(records: Records) -> dict[str, dict[str, Any]]:
    """Side -> medians over the repetitions, and the ratio of its speed to the first side's in each repetition."""
    first, summary = next(iter(records)), {}
    rate = "frames_per_core_s" if records[first][0]["by_core"] else "frames_per_s"
    for side, runs in records.items():
        row: dict[str, Any] = {name: median(run["shares"][name] for run in runs) for name in STAGES}
        for key in (
            "frames_per_s",
            "frames_per_core_s",
            "process_s",
            "track_s",
            "half_mib",
            "peak_mib",
            "gpu_peak_mib",
        ):
            if key in runs[0]:
                row[key] = median(run[key] for run in runs)
        ratios = [run[rate] / base[rate] for base, run in zip(records[first], runs, strict=True)]
        row["ratio"] = {"median": median(ratios), "least": min(ratios), "most": max(ratios)}
        summary[side] = row | {"frames": runs[0]["frames"], "by_core": runs[0]["by_core"]}
    return summary


def tracking_table(network: MeasuredNetwork, summary: Mapping[str, Any], device: dict[str, str], repeats: int) -> Table:
    """One row for each variant and batch."""
    first = next(iter(summary.values()))
    last = "decoding" if first["by_core"] else "waiting for frames"
    rows = [["", "frames/s", "of core time", "ratio", "network", "learning", "first frames", "crops", last, "rest"]]
    rows[0] += ["half MiB", "peak MiB"]
    for side, row in summary.items():
        speed = [f"{row[key]:.2f}" for key in ("frames_per_s", "frames_per_core_s")]
        shares, memory = (
            [f"{row[name]:.1%}" for name in STAGES],
            [f"{row[key]:.0f}" for key in ("half_mib", "peak_mib")],
        )
        rows.append([side, *speed, f"{row['ratio']['median']:.2f}", *shares, *memory])
    what = _BY_CORE if first["by_core"] else _BY_CLOCK
    notes = (
        f"{first['frames']} frames from image files to result files, {what}",
        f"Medians of {repeats} interleaved runs, each a process of its own; ratio: to the first line in the same "
        "repetition. Memory: the most so far, after half of the frames and at the end. "
        f"{machine_words()}, {machine_words(device)}.",
    )
    return Table(f"Tracking: {network.script}/{network.config}", rows, notes)
