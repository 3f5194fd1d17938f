"""The cost of a forward pass: latency, throughput, memory, compared with the network's matrix products alone."""

import tempfile
from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from statistics import median
from typing import Any

from ...core.errors import InputError
from ...core.measure.benchmark import alternate, machine_words, run_measurement
from ...core.table import Table

MODEL_JOB = f"{__package__}.model_job"
#: Variant -> precision, whether compiled.
VARIANTS = {
    f"{precision}{' compiled' if compiled else ''}": (precision, compiled)
    for compiled in (False, True)
    for precision in ("fp32", "bf16", "fp16")
}
_CORE = "Both, and GFLOP/s, by the time of all threads on their cores, which other programs hardly change. "
Records = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class MeasuredNetwork:
    """The network that is measured: its configuration and weights."""

    script: str
    config: str
    changes: tuple[str, ...] = ()
    checkpoint: str = ""

    @classmethod
    def parse(cls, text: str, changes: Many[str] = ()) -> "MeasuredNetwork":
        """From a text such as `iimf_track/tiny`. Raises InputError for any other form."""
        script, _, config = text.partition("/")
        if not (script and config):
            raise InputError(f"--networks {text}: expected SCRIPT/CONFIG, such as iimf_track/tiny")
        return cls(script, config, tuple(changes))


def measure_passes(
    network: MeasuredNetwork,
    variants: Many[str],
    batches: Many[int],
    *,
    passes: int,
    repeats: int,
    device: str,
    threads: int = 0,
) -> Records:
    """Variant -> one record per repetition. The variants alternate; every run is a separate process.

    threads: on a CPU; 0: PyTorch's choice. Compiled code is kept between repetitions, but not between benchmarks.
    Raises InputError with the last line of a process that fails.
    """
    job: dict[str, Any] = {"script": network.script, "config": network.config, "set": list(network.changes)}
    with tempfile.TemporaryDirectory() as cache:
        job |= {"checkpoint": network.checkpoint, "batches": list(batches), "passes": passes}
        job |= {"device": device, "threads": threads, "cache": cache}

        def run(variant: str, _: int) -> dict[str, Any]:
            precision, compiled = VARIANTS[variant]
            given = {**job, "precision": precision, "compiled": compiled}
            return run_measurement(MODEL_JOB, given, name=f"{network.config}, {variant}")

        return alternate(variants, run, repeats=repeats)


def summarise_passes(records: Records) -> dict[str, dict[str, Any]]:
    """Variant -> medians over the repetitions; for seconds, medians of the medians of each run."""
    summary: dict[str, dict[str, Any]] = {}
    clock = _clock(records)
    for variant, runs in records.items():
        batches = {int(batch): _batch([run["batches"][batch] for run in runs], clock) for batch in runs[0]["batches"]}
        best = max(batches, key=lambda batch: batch / batches[batch]["pass_s"])
        row: dict[str, Any] = {"batches": batches, "best_batch": best}
        for key in ("peak_mib", "before_mib", "weights_mib", "square_operations_per_s", "copy_bytes_per_s"):
            row[key] = median(run[key] for run in runs)
        summary[variant] = row | {"parameters": runs[0]["parameters"], "clock": clock}
    first = next(iter(records))
    for variant, runs in records.items():
        ratios = [_speed(run, clock) / _speed(base, clock) for base, run in zip(records[first], runs, strict=True)]
        summary[variant]["ratio"] = {"median": median(ratios), "least": min(ratios), "most": max(ratios)}
    return summary


def passes_table(network: MeasuredNetwork, summary: Mapping[str, Any], device: dict[str, str], repeats: int) -> Table:
    """One row for each variant and batch."""
    rows = [
        [
            "",
            "batch",
            "template, ms",
            "ms a pass",
            "of core time",
            "frames/s",
            "ratio",
            "GFLOP/s",
            "beside its products",
        ]
    ]
    rows[0] += ["peak MiB", "GPU MiB"]
    for variant, row in summary.items():
        for batch, figures in row["batches"].items():
            times = [f"{figures[key] * 1e3:.1f}" for key in ("pass_s", "pass_core_s")]
            ratio = f"{row['ratio']['median']:.2f}" if batch == min(row["batches"]) else ""
            speed = [*times, f"{batch / figures['pass_s']:.2f}", ratio, f"{figures['operations_per_s'] / 1e9:.0f}"]
            memory = [f"{row['peak_mib']:.0f}", f"{figures.get('gpu_peak_mib', '')}"]
            template = f"{figures['template_s'] * 1e3:.1f}" if "template_s" in figures else ""
            rows.append([variant, str(batch), template, *speed, f"{figures['beside_products']:.2f}", *memory])
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    return Table(f"One forward pass: {network.script}/{network.config}", rows, _notes(summary, device, repeats))


def report_passes(networks: Mapping[str, Records]) -> dict[str, Any]:
    """Medians and all runs, for JSON."""
    return {
        "medians": {name: summarise_passes(records) for name, records in networks.items()},
        "runs": dict(networks),
    }


def _batch(runs: list[dict[str, Any]], clock: str) -> dict[str, Any]:
    """Medians of one batch; clock: "s" for wall time or "core_s" for time on the cores."""
    names = [f"{what}_{kind}" for what in ("pass", "products") for kind in ("s", "core_s")]
    figures = {name: median(median(run[name]) for run in runs) for name in names}
    turns = [zip(run[f"pass_{clock}"], run[f"products_{clock}"], strict=True) for run in runs]
    figures["beside_products"] = median(median(a / b for a, b in run) for run in turns)
    figures["operations_per_s"] = runs[0]["operations"] / figures[f"pass_{clock}"]
    if all(run.get("template_s") for run in runs):
        figures["template_s"] = median(median(run["template_s"]) for run in runs)
    figures["first_s"] = max(run["first_s"] for run in runs)  # later repetitions use compiled code
    return figures | {key: runs[0][key] for key in ("operations", "moved_bytes", "gpu_peak_mib") if key in runs[0]}


def _clock(records: Records) -> str:
    """The clock of comparisons: on a CPU the time of all threads on their cores, which other programs hardly change."""
    return "core_s" if "threads" in next(iter(records.values()))[0]["device"] else "s"


def _speed(run: Mapping[str, Any], clock: str) -> float:
    return 1 / median(run["batches"][min(run["batches"], key=int)][f"pass_{clock}"])


def _notes(summary: Mapping[str, Any], device: dict[str, str], repeats: int) -> tuple[str, ...]:
    first = next(iter(summary.values()))
    one = first["batches"][min(first["batches"])]
    each = min(first["batches"])
    machine = ", ".join(
        f"{variant} {row['square_operations_per_s'] / 1e9:.0f} GFLOP/s"
        for variant, row in summary.items()
        if "compiled" not in variant
    )
    return (
        f"{first['parameters'] / 1e6:.1f} M parameters; {one['operations'] / each / 1e9:.1f} GFLOPs a frame: "
        "multiplications and additions of all matrix products, convolutions and attention; their factors and results "
        f"are {one['moved_bytes'] / each / 1e6:.0f} MB (first line).",
        f"Medians of {repeats} interleaved runs, each a process of its own. Beside its products: a pass beside the "
        "same matrix products alone, in turns; 1.15 is 15 % more. Ratio: to the first line in the same repetition. "
        f"{_CORE * (first['clock'] == 'core_s')}Peak memory: of the process, start included.",
        f"A plain product of two square matrices: {machine}; a copy: {first['copy_bytes_per_s'] / 1e9:.1f} GB/s, "
        f"read and written. {machine_words()}, {machine_words(device)}.",
    )
