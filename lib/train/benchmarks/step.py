"""Speed and memory of a training step, in float32 or bfloat16, compiled or checkpointed."""

import itertools
import tempfile
from collections.abc import Sequence as Many
from dataclasses import dataclass
from statistics import median
from typing import Any

from ...core.errors import InputError
from ...core.measure.benchmark import alternate, machine_words, run_measurement
from ...core.measure.machine import describe_machine
from ...core.table import Table

STEP_JOB = f"{__package__}.step_job"
Records = dict[str, list[dict[str, Any]]]

#: Parts of a variant's name -> settings; all others are off
PRECISIONS = {"fp32": ["TRAIN.AMP=false"], "bf16": ["TRAIN.AMP=true", "TRAIN.AMP_DTYPE=bfloat16"]}
SAVINGS = {"": [], "compiled": ["TRAIN.COMPILE=true"], "checkpointing": ["TRAIN.CHECKPOINT_BLOCKS=true"]}
_OFF = ["TRAIN.COMPILE=false", "TRAIN.GLOBAL_BATCH=0", "TRAIN.EMA_DECAY=0"]
#: Turned off unless a variant sets it; networks without a ViT lack it.
_OFF_WHERE_KNOWN = ["TRAIN.CHECKPOINT_BLOCKS=false"]

#: Variant -> settings of the configuration
VARIANTS = {
    f"{precision} {saving}".strip(): [*_OFF, *PRECISIONS[precision], *SAVINGS[saving]]
    for saving, precision in itertools.product(SAVINGS, PRECISIONS)
}


@dataclass(frozen=True)
class Workload:
    """A configuration and the number of pairs in a step."""

    script: str
    config: str
    batch: int

    @classmethod
    def parse(cls, text: str) -> "Workload":
        """`tbsi_track/<config>:32`. Raises InputError for anything else."""
        name, _, batch = text.partition(":")
        script, _, config = name.partition("/")
        if not (script and config and batch.isdigit() and int(batch)):
            raise InputError(f"--networks {text}: expected SCRIPT/CONFIG:PAIRS, such as iimf_track/tiny:16")
        return cls(script, config, int(batch))


def measure_steps(
    work: Workload, variants: Many[str], *, steps: int, repeats: int, device: str, threads: int = 0
) -> Records:
    """Variant -> one record per repetition, in turns. Every run is a process; its first step is timed separately.

    threads: on a CPU; 0: PyTorch's choice. Compiled code is kept from one repetition to the next. Raises InputError
    with the last line of a process that fails.
    """
    job: dict[str, Any] = {"script": work.script, "config": work.config, "batch": work.batch}
    job["set_where_known"] = _OFF_WHERE_KNOWN
    with tempfile.TemporaryDirectory() as cache:
        job |= {"steps": steps, "device": device, "threads": threads, "cache": cache}

        def run(variant: str, _: int) -> dict[str, Any]:
            record = run_measurement(STEP_JOB, {**job, "set": VARIANTS[variant]}, name=f"{work.config}, {variant}")
            rates = {"pairs_per_s": work.batch / median(record["step_s"])}
            if "core_s" in record:
                rates["pairs_per_core_s"] = work.batch / median(record["core_s"])
            return record | rates

        return alternate(variants, run, repeats=repeats)


def summarise_steps(records: Records) -> dict[str, dict[str, Any]]:
    """Variant -> medians over the repetitions, and the speed relative to the first variant in each repetition: by core
    time on a CPU, else by time."""
    first = next(iter(records))
    rate = "pairs_per_core_s" if "pairs_per_core_s" in records[first][0] else "pairs_per_s"
    summary: dict[str, dict[str, Any]] = {}
    for variant, runs in records.items():
        keys = [key for key in runs[0] if all(isinstance(run[key], float) for run in runs)]
        summary[variant] = {key: median(run[key] for run in runs) for key in keys}
        pairs = zip(records[first], runs, strict=True)
        ratios = [run[rate] / base[rate] for base, run in pairs]
        summary[variant]["first_s"] = max(run["first_s"] for run in runs)  # later repetitions reuse compiled code
        summary[variant]["ratio"] = {"median": median(ratios), "least": min(ratios), "most": max(ratios)}
    return summary


def steps_table(work: Workload, summary: dict[str, dict[str, Any]], device: dict[str, str], repeats: int) -> Table:
    """Pairs per second and memory of each variant."""
    cuda = any("gpu_peak_mib" in row for row in summary.values())
    more = ["GPU peak MiB", "GPU busy"] if cuda else []
    core = all("pairs_per_core_s" in row for row in summary.values())
    rows = [["", "pairs/s", *["pairs/s of core time"] * core, "ratio", "from", "to"]]
    rows[0] += ["step s", "first step s", "peak MiB", *more]
    for variant, row in summary.items():
        ratios = [f"{row['ratio'][key]:.2f}" for key in ("median", "least", "most")]
        times = [f"{work.batch / row['pairs_per_s']:.3f}", f"{row['first_s']:.1f}", f"{row['peak_mib']:.0f}"]
        busy = f"{row['gpu_utilisation']:.0%}" if "gpu_utilisation" in row else ""
        extra = [f"{row['gpu_peak_mib']:.0f}", busy] if cuda else []
        rates = [f"{row[key]:.2f}" for key in ("pairs_per_s", "pairs_per_core_s") if key in row]
        rows.append([variant, *rates, *ratios, *times, *extra])
    words = f"{machine_words()}, {machine_words(device)}"
    notes = (
        f"Medians of {repeats} interleaved runs, each a process of its own; ratio: to the first line in the same "
        f"repetition{', by core time' * core}; {words}.",
        "A step goes from images in memory to new weights. First step: the longest, which compiles. Peak memory: of "
        "the process, start and first step included.",
    )
    title = f"Training step: {work.script}/{work.config}, {work.batch} pairs"
    return Table(title, rows, notes)


def report_content(networks: dict[str, Records]) -> dict[str, Any]:
    """The content of the JSON file."""
    medians = {name: summarise_steps(records) for name, records in networks.items()}
    return {"machine": describe_machine(), "medians": medians, "runs": networks}
