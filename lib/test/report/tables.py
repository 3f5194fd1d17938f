"""The tables of a report: overall, by data set, by attribute, by sequence, significance."""

from collections.abc import Iterable
from collections.abc import Sequence as Many

import numpy as np

from ...core.table import BEST, SECOND, Row, Table
from ...core.words import counted
from ..analysis.leaderboard import Leaderboard, scores_on, shortened
from ..analysis.significance import LEVEL, SAMPLES, Comparison
from ..metrics import LongTermScores, Metric

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def overall_table(board: Leaderboard) -> Table:
    """One row per tracker: scores in percent, frames per second (also with reading the images, where known), number of
    sequences."""
    metrics = board.protocol.metrics
    timed = any(entry.whole_speed is not None for entry in board.entries)
    speeds = ["frames/s", "with reading"] if timed else ["frames/s"]
    rows = [["tracker", *(metric.name for metric in metrics), *speeds, "sequences"]]
    for entry in board.entries:
        figures = [percent(entry.scores.overall[metric.name], entry.spread.get(metric.name)) for metric in metrics]
        shown = [shown_speed(speed) for speed in (entry.speed, entry.whole_speed)][: len(speeds)]
        rows.append([entry.name, *figures, *shown, str(len(entry.sequences))])
    values = np.array([[entry.scores.overall[metric.name] for metric in metrics] for entry in board.entries])
    higher = [metric.higher_is_better for metric in metrics]
    count = counted(len(board.sequences), "sequence")
    title = f"{board.dataset}: {count}, {board.protocol.name} rules, figures in percent"
    return Table(title, rows, notes_of(board), rank_cells(values.T, higher, by_column=True))


def summary_table(boards: Many[Leaderboard]) -> Table:
    """One row per tracker, one column per data set and metric."""
    names = list(dict.fromkeys(entry.name for board in boards for entry in board.entries))
    columns = [(board, metric) for board in boards for metric in board.protocol.metrics]
    rows = [["tracker", *(f"{board.dataset} {metric.name}" for board, metric in columns)]]
    found = [{entry.name: entry for entry in board.entries} for board, _ in columns]
    values = np.full((len(columns), len(names)), np.nan)
    for row, name in enumerate(names):
        for column, (_, metric) in enumerate(columns):
            if name in found[column]:
                values[column, row] = found[column][name].scores.overall[metric.name]
        rows.append([name, *(percent(value) for value in values[:, row])])
    notes = tuple(f"{board.dataset}: {note}" for board in boards for note in notes_of(board))
    ranks = rank_cells(values, [metric.higher_is_better for _, metric in columns], by_column=True)
    return Table("all data sets, figures in percent", rows, notes, ranks)


def attribute_table(board: Leaderboard, metric: Metric) -> Table:
    """One row per attribute with the number of its sequences, one column per tracker."""
    rows, values = [["attribute", *(entry.name for entry in board.entries)]], []
    for name, figures in attribute_figures(board, metric).items():
        rows.append([f"{name} ({len(board.attributes[name])})", *map(percent, figures)])
        values.append(figures)
    ranks = rank_cells(np.array(values), [metric.higher_is_better] * len(values), by_column=False)
    return Table(f"{board.dataset}: {metric.name} by attribute, in percent", rows, notes_of(board), ranks)


def attribute_figures(board: Leaderboard, metric: Metric) -> dict[str, np.ndarray]:
    """Attribute -> one score per tracker; NaN where the tracker has none of the sequences."""
    figures = {}
    for name, videos in board.attributes.items():
        row = []
        for entry in board.entries:
            scored = [video for video in videos if video in set(entry.sequences)]
            row.append(scores_on(entry, scored).overall[metric.name] if scored else np.nan)
        figures[name] = np.array(row)
    return figures


def sequence_table(board: Leaderboard, metric: Metric) -> Table:
    """One row per sequence, one column per tracker."""
    rows = [["sequence", *(entry.name for entry in board.entries)]]
    columns = [
        dict(zip(entry.sequences, entry.scores.per_sequence[metric.name], strict=True)) for entry in board.entries
    ]
    values = np.array([[column.get(video.name, np.nan) for column in columns] for video in board.sequences])
    rows += [[video.name, *map(percent, figures)] for video, figures in zip(board.sequences, values, strict=True)]
    ranks = rank_cells(values, [metric.higher_is_better] * len(values), by_column=False)
    return Table(f"{board.dataset}: {metric.name} by sequence, in percent", rows, notes_of(board), ranks)


def confidence_table(board: Leaderboard) -> Table:
    """Quantiles of each tracker's confidence by place of the box: on the target, elsewhere, no target. They show where
    the thresholds of a long-term tracker should lie. Averaged runs are left out."""
    rows = [["tracker", "its box is", "frames", *(f"{100 * level:g} %" for level in QUANTILES)]]
    for entry in board.entries:
        if isinstance(entry.scores, LongTermScores) and not entry.runs:
            for state, values in entry.scores.confidences.items():
                levels = np.quantile(values, QUANTILES) if len(values) else np.full(len(QUANTILES), np.nan)
                shown = ["-" if np.isnan(level) else f"{level:.3f}" for level in levels]
                rows.append([entry.name, state, str(len(values)), *shown])
    return Table(f"{board.dataset}: quantiles of the confidence", rows, notes_of(board))


def significance_table(board: Leaderboard, metric: Metric, reference: str, comparisons: Iterable[Comparison]) -> Table:
    """One row per tracker: score and difference with intervals, p value, numbers of better and worse sequences."""
    rows = [
        ["tracker", metric.name, "95 % interval", f"minus {reference}", "95 % interval", "p", "better on", "worse on"]
    ]
    for item in comparisons:
        own, apart = (f"{100 * low:.1f} to {100 * high:.1f}" for low, high in (item.interval, item.difference_interval))
        if item.name == reference:
            rows.append([item.name, percent(item.figure), own, *["-"] * 5])
        else:
            gap = f"{100 * item.difference:+.2f}"
            counts = [str(item.wins), str(item.losses)]
            rows.append([item.name, percent(item.figure), own, gap, apart, _probability(item.p), *counts])
    method = (
        f"{LEVEL:.0%} intervals: bootstrap over sequences, {SAMPLES} samples; "
        "p: paired sign-flip permutation test over sequences, two-sided, Holm-corrected"
    )
    return Table(f"{board.dataset}: {metric.name} against {reference}, in percent", rows, (method, *notes_of(board)))


def notes_of(board: Leaderboard) -> tuple[str, ...]:
    """The notes below every table of a leaderboard: incomplete trackers, averaged runs."""
    notes = []
    for entry in board.entries:
        if entry.missing:
            count = f"{len(entry.sequences)} of {len(entry.sequences) + len(entry.missing)}"
            notes.append(
                f"INCOMPLETE: {entry.name} is scored on {count} sequences (without {shortened(entry.missing)})"
            )
        if entry.runs:
            notes.append(f"{entry.name}: mean of {len(entry.runs)} runs, ± their standard deviation")
    return tuple(notes)


def percent(value: float, spread: float | None = None) -> str:
    """`36.24`, `36.24 ± 0.31`, and `-` for NaN."""
    if np.isnan(value):
        return "-"
    return f"{100 * value:.2f}" + ("" if spread is None else f" ± {100 * spread:.2f}")


def csv_rows(boards: Many[Leaderboard]) -> list[Row]:
    """Rows of tracker, dataset, metric, value, with scores in [0, 1]. An incomplete tracker also has `coverage`, the
    share of the sequences that it was scored on; several runs have `<metric>_std`."""
    rows = [["tracker", "dataset", "metric", "value"]]
    for board in boards:
        for entry in board.entries:
            figures = dict(entry.scores.overall)
            figures |= {f"{name}_std": value for name, value in entry.spread.items()}
            if entry.missing:
                figures["coverage"] = len(entry.sequences) / (len(entry.sequences) + len(entry.missing))
            rows += [[entry.name, board.dataset, name, f"{value:.6f}"] for name, value in figures.items()]
    return rows


def sequence_csv_rows(boards: Many[Leaderboard]) -> list[Row]:
    """Rows of tracker, dataset, sequence, metric, value, with scores in [0, 1]."""
    rows = [["tracker", "dataset", "sequence", "metric", "value"]]
    for board in boards:
        for entry in board.entries:
            for metric, values in entry.scores.per_sequence.items():
                pairs = zip(entry.sequences, values, strict=True)
                rows += [[entry.name, board.dataset, video, metric, f"{value:.6f}"] for video, value in pairs]
    return rows


def rank_cells(values: np.ndarray, higher: Many[bool], *, by_column: bool) -> dict[tuple[int, int], int]:
    """The table cells with the best and second best score of each group, including ties. values: [groups, members].

    by_column: a group is a column of the table, else a row. Groups with fewer than two scores are not ranked.
    """
    places = {}
    for group, (figures, upward) in enumerate(zip(values, higher, strict=True)):
        shown = np.round(100 * figures, 2) * (1 if upward else -1)
        best = np.unique(shown[~np.isnan(shown)])[::-1]
        if np.isfinite(figures).sum() < 2:
            continue
        for rank, value in zip((BEST, SECOND), best, strict=False):
            for member in np.flatnonzero(shown == value):
                places[(member + 1, group + 1) if by_column else (group + 1, member + 1)] = rank
    return places


def shown_speed(speed: float | None) -> str:
    """`67.3`, and `-` for None."""
    return "-" if speed is None else f"{speed:.1f}"


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
