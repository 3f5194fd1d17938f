"""Maps of a search: the score over pairs of settings."""

import itertools
import textwrap
from collections.abc import Sequence as Many
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core.errors import InputError
from ..report.style import HALO, STYLE, WIDTH
from .report import RankedTrials, word

MOST_CELLS = 12  # values of a key; with more values the map has dots
NUMBERED = 8  # values of a key; with more values the cells are too small for numbers
MOST_KEYS = 4  # with a panel for each pair of them
COLUMNS = 3
COLOURS = "cividis"
_TITLE = 48  # characters of a title that fit above a panel


def key_pairs(found: RankedTrials) -> list[tuple[str, str]]:
    """All pairs of the first keys that differ between trials."""
    return list(itertools.combinations(found.keys[:MOST_KEYS], 2))


@rc_context(STYLE)
def map_figure(found: RankedTrials, pairs: Many[tuple[str, str]]) -> Figure:
    """The objective over pairs of keys, a panel for each; each value is the best over all other keys. Cells where the
    keys have few values, else dots. A star marks the best trial, a ring the configuration's own settings.

    Raises InputError for keys that do not differ between trials.
    """
    for key in itertools.chain(*pairs):
        if key not in found.keys:
            raise InputError(f"--map {key}: the trials differ in {', '.join(found.keys) or 'nothing'}")
    columns = min(COLUMNS, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = Figure(figsize=(columns * WIDTH, rows * WIDTH * 0.85), layout="constrained")
    title = f"{found.title}: {found.objective}" + (", best over the other keys" if len(found.keys) > 2 else "")
    title = textwrap.fill(title, columns * _TITLE)
    for place, (across, up) in enumerate(pairs):
        axes = figure.add_subplot(rows, columns, place + 1)
        _draw_panel(figure, axes, found, across, up)
        if len(pairs) == 1:
            axes.set_title(title)
    if len(pairs) > 1:
        figure.suptitle(title)
    return figure


def _draw_panel(figure: Figure, axes: Axes, found: RankedTrials, across: str, up: str) -> None:
    found = replace(found, records=tuple(record for record in found.records if {across, up} <= record["test"].keys()))
    values = [sorted({_coordinate(record, key) for record in found.records}) for key in (across, up)]
    few = max(map(len, values)) <= MOST_CELLS
    drawn = (_draw_cells if few else _draw_dots)(axes, found, (across, up), values)
    figure.colorbar(drawn, ax=axes, label=f"{found.objective} (%)")
    axes.set(xlabel=across, ylabel=up)


def _draw_cells(axes: Axes, found: RankedTrials, keys: tuple[str, str], values: list[list[Any]]) -> Any:
    cells = np.full((len(values[1]), len(values[0])), np.nan)
    for record in found.records:
        column, row = (_place(record, key, items) for key, items in zip(keys, values, strict=True))
        cells[row, column] = np.fmax(cells[row, column], 100 * found.figure(record))
    drawn = axes.imshow(cells, origin="lower", cmap=COLOURS, aspect="auto")
    axes.set_xticks(range(len(values[0])), [word(value) for value in values[0]])
    axes.set_yticks(range(len(values[1])), [word(value) for value in values[1]])
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
            axes.plot(x, y + lift, sign, markeredgecolor="black", path_effects=HALO, **style)


def _place(record: dict[str, Any], key: str, values: list[Any]) -> int:
    return values.index(_coordinate(record, key))


def _coordinate(record: dict[str, Any], key: str) -> Any:
    """A value for an axis: a list becomes a text."""
    value = record["test"][key]
    return word(value) if isinstance(value, list) else value
