"""Time and memory of scoring: this toolbox, its whole report, and another package on the same files."""

import sys
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ...core.measure.benchmark import alternate, machine_words, run_measurement
from ...core.table import Table
from ...core.words import counted

SCORING_JOB = f"{__package__}.scoring_job"
NAMES = {
    "toolbox": "toolbox: scores",
    "report": "toolbox: scores, tables, plots, HTML",
    "rgbt": "rgbt: scores",
}


@dataclass(frozen=True)
class ScoringTask:
    """The results that are scored. `rows`: annotated frames of all sequences."""

    dataset: str
    annotations: Path
    results: dict[str, Path]  # name -> folder
    sequences: int
    rows: int
    attributes: Path | None = None


def synthetic_task(folder: Path, *, trackers: int, sequences: int, frames: int, seed: int = 0) -> ScoringTask:
    """Write annotations and results for LasHeR's rules: random walks, and trackers with increasing noise.

    frames: mean length of a sequence; lengths differ by a factor of ten, as in real data sets.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.lognormal(0, 0.6, sequences)
    lengths = np.maximum(2, (lengths * frames / lengths.mean()).round().astype(int))
    names = [f"s{index:03d}" for index in range(sequences)]
    truths = [_walk(rng, length) for length in lengths]
    results = {f"tracker{index:02d}": folder / f"tracker{index:02d}" for index in range(trackers)}
    _write_boxes(folder / "annotations", names, truths, "%d")
    for shake, path in enumerate(results.values(), start=1):
        shaken = [boxes + rng.normal(0, 4 * shake, boxes.shape).round(2) for boxes in truths]
        boxes = [np.concatenate([box[:, :2], np.maximum(1, box[:, 2:])], axis=1) for box in shaken]
        _write_boxes(path, names, boxes, "%.2f")
    return ScoringTask("lasher_test", folder / "annotations", results, sequences, int(lengths.sum()))


def _walk(rng: np.random.Generator, length: int) -> np.ndarray:
    """A random walk of a target of constant size: [T, 4] xywh, whole pixels."""
    corner = np.clip(rng.normal(0, 3, (length, 2)).cumsum(0) + 300, 1, 560)
    return np.concatenate([corner, np.tile(rng.uniform(20, 120, 2), (length, 1))], axis=1).round()


def _write_boxes(folder: Path, names: Many[str], rows: Many[np.ndarray], form: str) -> None:
    folder.mkdir(parents=True)
    for name, boxes in zip(names, rows, strict=True):
        line = ",".join([form] * 4) + "\n"
        (folder / f"{name}.txt").write_text(line * len(boxes) % tuple(boxes.ravel().tolist()), encoding="utf-8")


def measure_scoring(
    task: ScoringTask, sides: Many[str], scratch: Path, *, repeats: int, python: str
) -> dict[str, list[dict[str, Any]]]:
    """Side -> one record per repetition. The sides alternate; every run is a separate process.

    python: the interpreter for jobs of other packages. Raises InputError with the message of a job that fails.
    """

    def score(side: str, turn: int) -> dict[str, Any]:
        own = side in ("toolbox", "report")
        job = _job(task, side, scratch / f"{side}{turn}")
        return run_measurement(SCORING_JOB, job, python=sys.executable if own else python, name=f"scoring with {side}")

    return alternate(sides, score, repeats=repeats)


def _job(task: ScoringTask, side: str, out: Path) -> dict[str, Any]:
    results = {name: str(folder) for name, folder in task.results.items()}
    job: dict[str, Any] = {
        "side": side,
        "dataset": task.dataset,
        "annotations": str(task.annotations),
        "results": results,
    }
    if side == "report":
        files = {"csv": "out.csv", "latex": "out.tex", "plots": "plots", "html": "report.html"}
        job["attributes"] = str(task.attributes) if task.attributes else None
        job["files"] = {kind: str(out / name) for kind, name in files.items()}
    return job


def summarise(task: ScoringTask, records: dict[str, list[dict]]) -> dict[str, dict[str, Any]]:
    """Side -> medians over the repetitions; for another package also the ratio of its time per tracker to ours."""
    summary: dict[str, dict[str, Any]] = {}
    for side, runs in records.items():
        summary[side] = {key: median(run[key] for run in runs) for key in ("process_s", "peak_mib")}
        if side == "report":
            continue
        summary[side]["before_mib"] = median(run["before_mib"] for run in runs)
        summary[side]["annotations_s"] = median(run["annotations_s"] for run in runs)
        summary[side]["tracker_s"] = median(map(_per_tracker, runs))
    for side in summary.keys() - {"toolbox", "report"}:
        pairs = zip(records["toolbox"], records[side], strict=True)
        ratios = [_per_tracker(other) / _per_tracker(ours) for ours, other in pairs]
        summary[side]["times_longer"] = {"median": median(ratios), "least": min(ratios), "most": max(ratios)}
        summary[side]["largest_difference"] = _difference(records["toolbox"][0], records[side][0])
    return summary


def _per_tracker(run: dict[str, Any]) -> float:
    """Seconds to read and score the results of one tracker, without reading the annotations."""
    return sum(run["tracker_s"]) / len(run["tracker_s"])


def _difference(ours: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference between the scores of two sides, in [0, 1]."""
    theirs = other["figures"]
    gaps = (abs(value - theirs[name][key]) for name, row in ours["figures"].items() for key, value in row.items())
    return max(gaps)


def benchmark_table(
    task: ScoringTask, summary: dict[str, dict[str, Any]], machine: dict[str, str], repeats: int
) -> Table:
    """Seconds and MiB of each side, with notes."""
    rows = [["", "annotations s", "one tracker s", "whole process s", "peak MiB", "of these before MiB"]]
    for side, row in summary.items():
        times = [f"{row[key]:.3f}" if key in row else "" for key in ("annotations_s", "tracker_s")]
        before = f"{row['before_mib']:.0f}" if "before_mib" in row else ""
        rows.append([NAMES[side], *times, f"{row['process_s']:.2f}", f"{row['peak_mib']:.0f}", before])
    notes = [f"Medians of {repeats} interleaved runs, each a process of its own; {machine_words(machine)}."]
    for side, row in summary.items():
        if "times_longer" in row:
            ratio = row["times_longer"]
            notes.append(
                f"Per tracker, {side} takes {ratio['median']:.1f} times as long (from {ratio['least']:.1f} to "
                f"{ratio['most']:.1f} in one repetition); its figures differ by up to {row['largest_difference']:.1e} "
                "of 1, since it rounds all boxes to whole pixels and computes in float32."
            )
    what = f"{counted(len(task.results), 'tracker')}, {counted(task.sequences, 'sequence')}, {task.rows} frames each"
    return Table(f"Scoring by the {task.dataset} rules: {what}", rows, tuple(notes))
