"""Figures of the long-term protocols: precision and recall over confidence thresholds, true positive and negative
rates."""

from collections.abc import Callable

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.leaderboard import Leaderboard, LeaderboardEntry
from ..metrics import VOT_LT
from ..metrics.long_term import harmonic_mean
from .style import AXES_HEIGHT, HALO, LEGEND_COLUMNS, LINE_HEIGHT, STYLE, WIDTH, LineStyles

LEVELS = (0.2, 0.4, 0.6, 0.8)  # of F or of the geometric mean


def draw_long_term(board: Leaderboard, styles: LineStyles) -> dict[str, Figure]:
    """File stem -> figure."""
    if board.protocol is not VOT_LT:
        return {f"{board.dataset}_rates": rates_figure(board, styles)}
    return {
        f"{board.dataset}_precision_recall": precision_recall_figure(board, styles),
        f"{board.dataset}_F": f_score_figure(board, styles),
    }


@rc_context(STYLE)
def precision_recall_figure(board: Leaderboard, styles: LineStyles) -> Figure:
    """One curve per tracker over its confidence thresholds, with a dot at the best F-score; grey lines of equal
    F-score."""
    figure, axes = _start(board)
    _draw_levels(axes, lambda recall, level: level * recall / np.maximum(2 * recall - level, 1e-9))
    for entry in board.ranked(board.main):
        precision, recall = (100 * curve for curve in entry.scores.mean_curves)
        axes.plot(recall[1:], precision[1:], **styles[entry.name])
        _mark(axes, entry, board, styles, (recall[0], precision[0]))
    axes.set(
        title=f"{board.dataset}: precision and recall",
        xlabel="recall (%)",
        ylabel="precision (%)",
        xlim=(0, 100),
        ylim=(0, 100),
    )
    return _finish(figure)


@rc_context(STYLE)
def f_score_figure(board: Leaderboard, styles: LineStyles) -> Figure:
    """The F-score of each tracker over the share of its most confident boxes that it reports."""
    figure, axes = _start(board)
    for entry in board.ranked(board.main):
        precision, recall = (curve[1:] for curve in entry.scores.mean_curves)
        shares = np.linspace(0, 100, len(precision))
        label = f"{entry.name} [{100 * entry.scores.overall[board.main.name]:.1f}]"
        axes.plot(shares, 100 * harmonic_mean(precision, recall), label=label, **styles[entry.name])
    axes.set(
        title=f"{board.dataset}: F-score",
        xlabel="boxes reported, the most confident first (%)",
        ylabel="F-score (%)",
        xlim=(0, 100),
        ylim=(0, None),
    )
    return _finish(figure)


@rc_context(STYLE)
def rates_figure(board: Leaderboard, styles: LineStyles) -> Figure:
    """One dot per tracker, with MaxGM in its label; grey lines of equal geometric mean."""
    figure, axes = _start(board)
    _draw_levels(axes, lambda negative, level: level**2 / np.maximum(negative, 1e-9))
    for entry in board.ranked(board.main):
        overall = entry.scores.overall
        _mark(axes, entry, board, styles, (100 * overall["TNR"], 100 * overall["TPR"]))
    axes.set(
        title=f"{board.dataset}: targets found and absences reported",
        xlabel="true negative rate (%)",
        ylabel="true positive rate (%)",
        xlim=(-2, 100),
        ylim=(0, 100),
    )
    return _finish(figure)


def _start(board: Leaderboard) -> tuple[Figure, Axes]:
    lines = -(-len(board.entries) // LEGEND_COLUMNS)
    figure = Figure(figsize=(WIDTH, AXES_HEIGHT + LINE_HEIGHT * lines), layout="constrained")
    return figure, figure.add_subplot()


def _finish(figure: Figure) -> Figure:
    figure.axes[0].grid()
    figure.legend(loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False, handlelength=2.4, columnspacing=1.5)
    return figure


def _mark(
    axes: Axes, entry: LeaderboardEntry, board: Leaderboard, styles: LineStyles, place: tuple[float, float]
) -> None:
    """A dot with the tracker's entry in the legend."""
    name = entry.name + (f" ({len(entry.sequences)} seq.)" if entry.missing else "")
    label = f"{name} [{100 * entry.scores.overall[board.main.name]:.1f}]"
    axes.plot(*place, marker="o", markersize=4, label=label, clip_on=False, **styles[entry.name])


def _draw_levels(axes: Axes, height: Callable[[np.ndarray, float], np.ndarray]) -> None:
    """Lines of equal score, labelled at the right border; `height` returns values in [0, 1] for arguments in [0, 1]."""
    across = np.linspace(0, 1, 401)
    for level in LEVELS:
        up = height(across, level)
        shown = (up >= level**2) & (up <= 1)
        axes.plot(100 * across[shown], 100 * up[shown], color="#999999", linewidth=0.6, zorder=0)
        axes.text(99, 100 * up[-1], f"{100 * level:g}", size=5.5, color="#777777", ha="right", path_effects=HALO)
