"""Figures of a report: curves, radar plot by attribute, scatter plot of two trackers."""

import re

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from ...core.words import counted
from ..analysis.leaderboard import Leaderboard, LeaderboardEntry, scores_on, shared_sequences
from ..metrics import LongTermProtocol, Metric
from .long_term_plots import draw_long_term
from .style import AXES_HEIGHT, COLOURS, HALO, LEGEND_COLUMNS, LINE_HEIGHT, STYLE, WIDTH, LineStyles
from .tables import attribute_figures

RADAR_TRACKERS = 6  # more outlines cannot be distinguished
NAMED_POINTS = 6  # named points of a scatter plot: those farthest from the diagonal


@rc_context(STYLE)
def curve_figure(board: Leaderboard, metric: Metric, styles: LineStyles) -> Figure:
    """One curve per tracker, the best first in the legend, which is below the axes so that it hides no curve."""
    place = board.protocol.metrics.index(metric)
    ranked = board.ranked(metric)
    lines = -(-len(ranked) // LEGEND_COLUMNS)
    figure = Figure(figsize=(WIDTH, AXES_HEIGHT + LINE_HEIGHT * lines), layout="constrained")
    axes = figure.add_subplot()
    for entry in ranked:
        name = entry.name + (f" ({len(entry.sequences)} seq.)" if entry.missing else "")
        label = f"{name} [{100 * entry.scores.overall[metric.name]:.1f}]"
        axes.plot(metric.thresholds, 100 * entry.scores.mean_curves[place], label=label, **styles[entry.name])
    if metric.position is not None:
        axes.axvline(metric.thresholds[metric.position], color="#888888", linewidth=0.6, zorder=0)
    axes.set(
        title=f"{board.dataset}: {_word(metric)}",
        xlabel=f"{_threshold_word(metric)} ({metric.unit})",
        ylabel=f"{_word(metric)} (%)",
        xlim=(metric.thresholds[0], metric.thresholds[-1]),
        ylim=(0, None),
    )
    axes.grid()
    figure.legend(loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False, handlelength=2.4, columnspacing=1.5)
    return figure


@rc_context(STYLE)
def radar_figure(board: Leaderboard, metric: Metric, styles: LineStyles) -> Figure:
    """A metric by attribute for the best trackers. An attribute is left out where one of them has none of its
    sequences."""
    shown = board.ranked(metric)[:RADAR_TRACKERS]
    places = [board.entries.index(entry) for entry in shown]
    figures = {name: values[places] for name, values in attribute_figures(board, metric).items()}
    figures = {name: values for name, values in figures.items() if not np.isnan(values).any()}
    angles = np.linspace(0, 2 * np.pi, len(figures), endpoint=False)
    lines = -(-len(shown) // LEGEND_COLUMNS)
    figure = Figure(figsize=(WIDTH, WIDTH * 0.95 + LINE_HEIGHT * lines), layout="constrained")
    axes = figure.add_subplot(projection="polar")
    assert isinstance(axes, PolarAxes)
    for column, entry in enumerate(shown):
        values = 100 * np.array([row[column] for row in figures.values()])
        label = f"{entry.name} [{100 * entry.scores.overall[metric.name]:.1f}]"
        axes.plot([*angles, angles[0]], [*values, values[0]], label=label, **styles[entry.name])
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_xticks(angles, [f"{name}\n({len(board.attributes[name])})" for name in figures])
    axes.set_ylim(0)
    axes.set_yticks(ticks := axes.get_yticks()[1:-1], [""] * len(ticks))
    for tick in ticks:  # drawn as text, since matplotlib's tick labels would lie under the outlines
        axes.text(angles[1] / 2, tick, f"{tick:g}", size=5.5, ha="center", va="center", path_effects=HALO)
    best = f", best {len(shown)} of {len(board.entries)}" if len(shown) < len(board.entries) else ""
    axes.set_title(f"{board.dataset}: {metric.name} by attribute (%){best}", pad=10)
    figure.legend(loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False, handlelength=2.4)
    return figure


@rc_context(STYLE)
def scatter_figure(board: Leaderboard, first: LeaderboardEntry, second: LeaderboardEntry, metric: Metric) -> Figure:
    """One point per sequence, with the first tracker on the vertical and the second on the horizontal axis. The points
    farthest from the diagonal are named."""
    shared = shared_sequences([first, second])
    up, right = (100 * scores_on(entry, shared).per_sequence[metric.name] for entry in (first, second))
    figure = Figure(figsize=(WIDTH, WIDTH + 0.1), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 100], [0, 100], color="#888888", linewidth=0.6)
    colours = np.where(up >= right, COLOURS[0], COLOURS[1])
    axes.scatter(right, up, s=7, c=colours, alpha=0.6, linewidths=0)
    for index in _apart(right, up):
        side = -1 if right[index] > 50 else 1
        axes.annotate(
            shared[index],
            (right[index], up[index]),
            (4 * side, 0),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            fontsize=5.5,
            path_effects=HALO,
        )
    wins = f"{first.name} better on {np.sum(up > right)}, {second.name} on {np.sum(up < right)}"
    axes.set(
        title=f"{board.dataset}: {metric.name} on {counted(len(shared), 'sequence')}\n{wins}",
        xlabel=f"{second.name}, {metric.name} (%)",
        ylabel=f"{first.name}, {metric.name} (%)",
        xlim=(-2, 102),
        ylim=(-2, 102),
        aspect="equal",
    )
    axes.grid()
    return figure


def draw_all(
    board: Leaderboard, styles: LineStyles, versus: tuple[LeaderboardEntry, LeaderboardEntry] | None
) -> dict[str, Figure]:
    """File stem -> figure: a curve per metric; radar plot (three attributes or more) and scatter plot of the main
    metric."""
    curves = [metric for metric in board.protocol.metrics if len(metric.thresholds) > 1]
    figures = {f"{board.dataset}_{metric.name}": curve_figure(board, metric, styles) for metric in curves}
    if isinstance(board.protocol, LongTermProtocol):
        figures |= draw_long_term(board, styles)
    metric = board.main
    if len(board.attributes) > 2:
        figures[f"{board.dataset}_radar"] = radar_figure(board, metric, styles)
    if versus is not None:
        figures[f"{board.dataset}_{versus[0].name}_{versus[1].name}"] = scatter_figure(board, *versus, metric)
    return {re.sub(r"[^\w.+-]", "_", stem): figure for stem, figure in figures.items()}


def _apart(right: np.ndarray, up: np.ndarray) -> list[int]:
    """Indices of the points farthest from the diagonal whose names do not overlap; coordinates in percent."""
    chosen: list[int] = []
    for index in np.argsort(-np.abs(up - right)).tolist():
        near = [other for other in chosen if abs(up[other] - up[index]) < 4 and abs(right[other] - right[index]) < 45]
        if not near:
            chosen.append(index)
    return chosen[:NAMED_POINTS]


def _word(metric: Metric) -> str:
    """A metric's name for titles: `success rate`, `normalised precision`, …"""
    word = metric.title.split(":")[0]
    return "success rate" if word == "success" else word


def _threshold_word(metric: Metric) -> str:
    return "overlap threshold" if metric.measure == "overlap" else "centre error threshold"
