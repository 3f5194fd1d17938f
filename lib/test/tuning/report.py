"""The report of a search: a table of all trials, the best first, the same as JSON, and a map over two keys."""

import json
import math
from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core.errors import InputError
from ...core.table import BEST, SECOND, Row, Table, format_markdown, write_text
from ..report.style import HALO, STYLE, WIDTH
from ..report.tables import percent
from .space import Setting

MAIN_METRICS = ("SR", "MSR", "AO", "F")  # those that benchmarks rank by
MOST_CELLS = 12  # values of a key; with more values the map has dots
NUMBERED = 8  # values of a key; with more values the cells are too small for numbers
COLOURS = "cividis"


@dataclass(frozen=True, eq=False)
class RankedTrials:
    """The trials of one search, best first."""

    title: str
    objective: str
    records: tuple[dict[str, Any], ...]
    keys: tuple[str, ...]  # TEST keys that differ between trials
    configured: Setting  # TEST keys of the configuration itself

    @property
    def best(self) -> dict[str, Any]:
        """The record of the best trial."""
        return self.records[0]

    def figure(self, record: Mapping[str, Any]) -> float:
        """The objective of one trial, in [0, 1]; NaN where it has none."""
        return _number(record["figures"][self.objective])

    def is_configured(self, record: Mapping[str, Any]) -> bool:
        """Whether a trial has the configuration's own settings."""
        return bool(record["test"] == self.configured)


def rank_trials(title: str, objective: str, records: Many[dict[str, Any]], configured: Setting) -> RankedTrials:
    """All trials in the order of an objective. Raises InputError where there are none and for an unknown objective."""
    if not records:
        raise InputError(f"{title}: no trial is complete yet; name the keys to search with --search KEY=VALUES")
    known = list(records[0]["figures"])
    if objective not in known:
        raise InputError(f"--objective {objective}: no such figure; there are {', '.join(known)}")
    ranked = sorted(records, key=lambda record: _descending(_number(record["figures"][objective])))
    names = dict.fromkeys(key for record in records for key in record["test"])
    keys = tuple(key for key in names if len({json.dumps(record["test"].get(key)) for record in records}) > 1)
    return RankedTrials(title, objective, tuple(ranked), keys, configured)


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
    best = " ".join(f"{key}={_word(found.best['test'][key])}" for key in found.keys)
    notes = [f"best: --set {best}"]
    for record in found.records:
        if found.is_configured(record) and record is not found.best:
            gain = 100 * (found.figure(found.best) - found.figure(record))
            notes.append(f"{found.objective} {gain:+.2f} against the configuration as it stands ({record['folder']})")
    notes.append("the best of many trials is better on what it was chosen by than elsewhere: report it on other data")
    title = f"{found.title}: {len(found.records)} trials by {found.objective}, figures in percent"
    return Table(title, rows, tuple(notes), ranks)


def write_trials(folder: Path, found: RankedTrials) -> None:
    """Write `trials.md` and `trials.json` into the folder of the search, atomically."""
    write_text(folder / "trials.md", format_markdown(trials_table(found)) + "\n")
    content = {"title": found.title, "objective": found.objective, "keys": found.keys, "trials": found.records}
    write_text(folder / "trials.json", json.dumps(content, indent=1) + "\n")


@rc_context(STYLE)
def map_figure(found: RankedTrials, across: str, up: str) -> Figure:
    """The objective over two keys, each value the best over all other keys: cells where the keys have few values, else
    dots. A star marks the best trial, a ring the configuration's own settings.

    Raises InputError for keys that do not differ between trials.
    """
    for key in (across, up):
        if key not in found.keys:
            raise InputError(f"--map {key}: the trials differ in {', '.join(found.keys) or 'nothing'}")
    found = replace(found, records=tuple(record for record in found.records if {across, up} <= record["test"].keys()))
    figure = Figure(figsize=(WIDTH, WIDTH * 0.85), layout="constrained")
    axes = figure.add_subplot()
    values = [sorted({_coordinate(record, key) for record in found.records}) for key in (across, up)]
    few = max(map(len, values)) <= MOST_CELLS
    drawn = (_draw_cells if few else _draw_dots)(axes, found, (across, up), values)
    figure.colorbar(drawn, ax=axes, label=f"{found.objective} (%)")
    rest = len(found.keys) > 2
    title = f"{found.title}: {found.objective}" + (", best over the other keys" if rest else "")
    axes.set(title=title, xlabel=across, ylabel=up)
    return figure


def _draw_cells(axes: Axes, found: RankedTrials, keys: tuple[str, str], values: list[list[Any]]) -> Any:
    cells = np.full((len(values[1]), len(values[0])), np.nan)
    for record in found.records:
        column, row = (_place(record, key, items) for key, items in zip(keys, values, strict=True))
        cells[row, column] = np.fmax(cells[row, column], 100 * found.figure(record))
    drawn = axes.imshow(cells, origin="lower", cmap=COLOURS, aspect="auto")
    axes.set_xticks(range(len(values[0])), [_word(value) for value in values[0]])
    axes.set_yticks(range(len(values[1])), [_word(value) for value in values[1]])
    axes.spines[:].set_visible(False)
    numbered = max(cells.shape) <= NUMBERED
    if numbered:
        for row, column in np.argwhere(np.isfinite(cells)).tolist():
            axes.text(column, row, f"{cells[row, column]:.1f}", ha="center", va="top", size=6, path_effects=HALO)
    _mark(axes, found, lambda record: tuple(_place(record, *pair) for pair in zip(keys, values, strict=True)), 0.22)
    return drawn


def _draw_dots(axes: Axes, found: RankedTrials, keys: tuple[str, str], values: list[list[Any]]) -> Any:
    worst_first = found.records[::-1]
    x, y = ([_coordinate(record, key) for record in worst_first] for key in keys)
    heights = [100 * found.figure(record) for record in worst_first]
    drawn = axes.scatter(x, y, c=heights, cmap=COLOURS, s=16, linewidths=0)
    axes.grid()
    _mark(axes, found, lambda record: tuple(_coordinate(record, key) for key in keys), 0)
    return drawn


def _mark(axes: Axes, found: RankedTrials, place: Any, lift: float) -> None:
    """Draw a star on the best trial and a ring on the configured one, `lift` above their place."""
    for record in found.records:
        sign = "*" if record is found.best else "o" if found.is_configured(record) else None
        if sign is not None:
            x, y = place(record)
            style = {"markersize": 8, "markerfacecolor": "white"} if sign == "*" else {"markerfacecolor": "none"}
            axes.plot(x, y + lift, sign, markeredgecolor="black", **style)


def _row(found: RankedTrials, record: dict[str, Any], others: list[str]) -> Row:
    name = record["folder"] + (" (as configured)" if found.is_configured(record) else "")
    figures = [percent(_number(record["figures"].get(key))) for key in (found.objective, *others)]
    speed = record["frames_per_second"]
    return [name, *(_word(record["test"].get(key)) for key in found.keys), *figures, f"{speed:.1f}" if speed else "-"]


def _has(found: RankedTrials, name: str) -> bool:
    return any(record["figures"].get(name) is not None for record in found.records)


def _place(record: dict[str, Any], key: str, values: list[Any]) -> int:
    return values.index(_coordinate(record, key))


def _coordinate(record: dict[str, Any], key: str) -> Any:
    """A value for an axis: a list becomes a text."""
    value = record["test"][key]
    return _word(value) if isinstance(value, list) else value


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "")


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _descending(value: float) -> float:
    return math.inf if math.isnan(value) else -value
