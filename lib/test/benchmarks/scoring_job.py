"""Runs one scoring job in a separate process, to measure its time and memory.

Job and answer are JSON on the standard streams. Jobs of other packages run in another Python, which may lack the
toolbox's requirements: they use only files that import nothing but the standard library.
"""

import contextlib
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...core.measure.peak_memory import peak_memory

ScoringJob = dict[
    str, Any
]  # side, dataset, annotations, results (name -> folder); of a report: attributes, files (by kind)


def main() -> None:
    """Read a job, run it, answer with seconds, MiB and scores."""
    job = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        answer = SIDES[job["side"]](job)
    json.dump(answer | {"peak_mib": peak_memory()}, sys.stdout)


def score_with_toolbox(job: ScoringJob) -> ScoringJob:
    """Score with the toolbox: checks, scores, speeds where there are time files, warnings about implausible boxes."""
    entries, sources, metrics = (
        importlib.import_module(f"..{name}", __package__)
        for name in ("analysis.leaderboard", "analysis.sources", "metrics")
    )
    protocol = metrics.protocol_of(job["dataset"])

    def score(videos: Any, name: str, folder: str) -> dict[str, float]:
        return entries.evaluate(name, Path(folder), videos, protocol).scores.overall

    return _measure(job, lambda: sources.read_scored(job["dataset"], job["annotations"], None), score)


def score_with_rgbt(job: ScoringJob) -> ScoringJob:
    """Score with the package rgbt, which rounds boxes to whole pixels: the three metrics of its LasHeR classes."""
    try:
        dataset, metrics = importlib.import_module("rgbt.dataset.basedataset"), importlib.import_module("rgbt.metrics")
    except ImportError as error:
        sys.exit(f"error: {sys.executable}: {error}; install rgbt there, or name a Python that has it: --python")
    rules = {"PR": metrics.PR_LasHeR(), "NPR": metrics.NPR(), "SR": metrics.SR_LasHeR()}
    names = sorted(path.stem for path in Path(job["annotations"]).glob("*.txt"))

    def score(truth: Any, name: str, folder: str) -> dict[str, float]:
        result = dataset.TrackerResult(name, folder, names, "", "ltwh")
        return {metric: float(rule(truth, result, names)[0]) for metric, rule in rules.items()}

    return _measure(job, lambda: dataset.BaseRGBTDataet(job["annotations"], names, "ltwh"), score)


def report_with_toolbox(job: ScoringJob) -> ScoringJob:
    """Do what the scoring command does: print the table, write all files of the job."""
    table, compare, sources, compose = (
        importlib.import_module(name, __package__)
        for name in ("...core.table", "..analysis.compare", "..analysis.sources", "..report.compose")
    )
    named = sources.named_sources(f"{name}={folder}" for name, folder in job["results"].items())
    places = {"annotations": job["annotations"], "attributes": job["attributes"]}
    boards = [compare.read_leaderboard(job["dataset"], named, **places)]
    tables = compose.make_tables(boards)
    sys.stderr.write("\n\n".join(map(table.format_text, tables)) + "\n")
    compose.write_files(boards, tables, compose.ReportFiles(**job["files"]))
    return {}


def _measure(
    job: ScoringJob, read: Callable[[], Any], score: Callable[[Any, str, str], dict[str, float]]
) -> ScoringJob:
    """Seconds for the annotations and for each tracker, scores, and the memory in use before."""
    before, begin = peak_memory(), time.perf_counter()
    truth = read()
    seconds, figures = [time.perf_counter() - begin], {}
    for name, folder in job["results"].items():
        begin = time.perf_counter()
        figures[name] = score(truth, name, folder)
        seconds.append(time.perf_counter() - begin)
    return {"annotations_s": seconds[0], "tracker_s": seconds[1:], "figures": figures, "before_mib": before}


SIDES: dict[str, Callable[[ScoringJob], ScoringJob]] = {
    "toolbox": score_with_toolbox,
    "rgbt": score_with_rgbt,
    "report": report_with_toolbox,
}

if __name__ == "__main__":
    main()
