"""The report of a search: a table of all trials, the best first, the same as JSON and CSV, and what it was tuned on."""

import json
import math
from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...core.errors import InputError
from ...core.table import BEST, SECOND, Row, Table, format_markdown, write_csv, write_text
from ..report.tables import percent
from .space import Setting

MAIN_METRICS = ("SR", "MSR", "AO", "F")  # those that benchmarks rank by


@dataclass(frozen=True)
class TuningSet:
    """What the settings are chosen by."""

    name: str  # of the data set, or its folder
    sequences: tuple[str, ...]
    total: int  # sequences of the data set
    seed: int | None = None  # of a random part
    test: bool = False  # a set that papers report on

    def __str__(self) -> str:
        part = f" of {self.total}" if len(self.sequences) < self.total else ""
        drawn = "" if self.seed is None else f", drawn with seed {self.seed}"
        return f"{self.name}, {len(self.sequences)}{part} sequences{drawn}" + (" (A TEST SET)" if self.test else "")


@dataclass(frozen=True, eq=False)
class RankedTrials:
    """The trials of one search, best first."""

    title: str
    objective: str
    records: tuple[dict[str, Any], ...]
    keys: tuple[str, ...]  # TEST keys that differ between trials
    configured: Setting  # TEST keys of the configuration itself
    tuned_on: TuningSet

    @property
    def best(self) -> dict[str, Any]:
        """The record of the best trial."""
        return self.records[0]

    def figure(self, record: Mapping[str, Any]) -> float:
        """The objective of one trial, in [0, 1]; NaN where it has none."""
        return number(record["figures"][self.objective])

    def is_configured(self, record: Mapping[str, Any]) -> bool:
        """Whether a trial has the configuration's own settings."""
        return bool(record["test"] == self.configured)


def rank_trials(
    title: str, objective: str, records: Many[dict[str, Any]], configured: Setting, *, tuned_on: TuningSet
) -> RankedTrials:
    """All trials in the order of an objective. Raises InputError where there are none and for an unknown objective."""
    if not records:
        raise InputError(f"{title}: no trial is complete yet; name the keys to search with --search KEY=VALUES")
    ranked = sort_records(records, objective, configured)
    names = dict.fromkeys(key for record in records for key in record["test"])
    keys = tuple(key for key in names if len({json.dumps(record["test"].get(key)) for record in records}) > 1)
    return RankedTrials(title, objective, tuple(ranked), keys, configured, tuned_on)


def sort_records(records: Many[dict[str, Any]], objective: str, configured: Setting) -> list[dict[str, Any]]:
    """Records of trials, one or more, the best first. Of equal ones that comes first which changes fewer keys of the
    configuration, then that with smaller values, key by key in the order of the alphabet.

    Raises InputError for an unknown objective.
    """
    if objective not in (known := list(records[0]["figures"])):
        raise InputError(f"--objective {objective}: no such figure; there are {', '.join(known)}")

    def place(record: dict[str, Any]) -> tuple[Any, ...]:
        test = record["test"]
        changed = [(key, *_in_order(test[key])) for key in sorted(test) if test[key] != configured.get(key)]
        return _descending(number(record["figures"][objective])), len(changed), changed

    return sorted(records, key=place)


def default_objective(records: Many[dict[str, Any]]) -> str:
    """The metric that the data set is ranked by."""
    known = records[0]["figures"] if records else {}
    return next((name for name in MAIN_METRICS if name in known), MAIN_METRICS[0])


def trials_table(found: RankedTrials) -> Table:
    """One row per trial: the keys that differ, the objective, the other scores in percent, frames per second."""
    others = [name for name in found.best["figures"] if name != found.objective and _has(found, name)]
    rows = [["trial", *found.keys, found.objective, *others, "frames/s"]]
    ranks = {}
    for line, record in enumerate(found.records, 1):
        rows.append(_row(found, record, others))
        if line <= 2 and len(found.records) > 1:
            ranks[line, 1 + len(found.keys)] = BEST if line == 1 else SECOND
    best = " ".join(f"{key}={word(found.best['test'][key])}" for key in found.keys)
    notes = [f"best: --set {best}"]
    for record in found.records:
        if found.is_configured(record) and record is not found.best:
            gain = 100 * (found.figure(found.best) - found.figure(record))
            notes.append(f"{found.objective} {gain:+.2f} against the configuration as it stands ({record['folder']})")
    notes.append(f"tuned on {found.tuned_on}")
    if found.tuned_on.test:
        notes.append(f"{found.tuned_on.name} is a test set: do not publish figures on it with settings chosen by it")
    notes.append("the best of many trials is better on what it was chosen by than elsewhere: report it on other data")
    title = f"{found.title}: {len(found.records)} trials by {found.objective}, figures in percent"
    return Table(title, rows, tuple(notes), ranks)


def trials_csv(found: RankedTrials) -> list[Row]:
    """One row per trial, the best first: the keys that differ, all scores as shares of 1 with full digits, frames per
    second, and what the trials were tuned on."""
    names = list(found.best["figures"])
    rows = [["trial", *found.keys, *names, "frames/s", "tuned on"]]
    for record in found.records:
        figures = [record["figures"].get(name) for name in names] + [record["frames_per_second"] or None]
        values = ["" if value is None else repr(value) for value in figures]
        settings = [word(record["test"].get(key)) for key in found.keys]
        rows.append([record["folder"], *settings, *values, str(found.tuned_on)])
    return rows


def write_trials(folder: Path, found: RankedTrials) -> None:
    """Write `trials.md`, `trials.csv` and `trials.json` into the folder of the search, atomically."""
    write_text(folder / "trials.md", format_markdown(trials_table(found)) + "\n")
    write_csv(folder / "trials.csv", trials_csv(found))
    content: dict[str, Any] = {"title": found.title, "objective": found.objective, "keys": found.keys}
    content |= {"tuned_on": asdict(found.tuned_on), "trials": found.records}
    write_text(folder / "trials.json", json.dumps(content, indent=1) + "\n")


def _row(found: RankedTrials, record: dict[str, Any], others: list[str]) -> Row:
    name = record["folder"] + (" (as configured)" if found.is_configured(record) else "")
    figures = [percent(number(record["figures"].get(key))) for key in (found.objective, *others)]
    speed = record["frames_per_second"]
    return [name, *(word(record["test"].get(key)) for key in found.keys), *figures, f"{speed:.1f}" if speed else "-"]


def _has(found: RankedTrials, name: str) -> bool:
    return any(record["figures"].get(name) is not None for record in found.records)


def word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "")


def number(value: float | None) -> float:
    return math.nan if value is None else value


def _in_order(value: Any) -> tuple[int, float, str]:
    """Numbers by size, then all others by their text."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (0, float(value), "") if is_number else (1, 0.0, json.dumps(value))


def _descending(value: float) -> float:
    return math.inf if math.isnan(value) else -value
