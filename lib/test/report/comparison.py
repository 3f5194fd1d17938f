"""The page that compares trackers: for each set scores with intervals, scores by sequence, and by what happens to the
cameras."""

from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np

from ...core.table import Row, Table, escape_markdown, format_markdown
from ...core.words import counted
from ..analysis.compare import choose_reference
from ..analysis.leaderboard import Leaderboard, LeaderboardEntry
from ..analysis.significance import LEVEL, SAMPLES, Comparison, compare_with
from .tables import notes_of, percent, rank_cells, sequence_table, shown_speed, significance_table

SHOWN = ("mIoU", "SR", "PR")  # the first one is compared by sequence and by camera


@dataclass(frozen=True, eq=False)
class ComparedSet:
    """All trackers on one set of sequences."""

    title: str
    board: Leaderboard  # of the sequences as they were recorded
    broken: Mapping[str, Leaderboard]  # name of what happens to the cameras -> trackers of both cameras

    @property
    def conditions(self) -> dict[str, Leaderboard]:
        """Name of what happens to the cameras, or `recorded` -> trackers."""
        return {"recorded": self.board, **self.broken}


def comparison_tables(compared: ComparedSet, reference: str | None, *, per_sequence: bool) -> list[Table]:
    """The tables of one set. reference: the tracker that others are tested against; None: the best."""
    board = compared.board
    against = choose_reference(board, reference)
    comparisons = compare_with(board, against)
    metrics = {metric.name: metric for metric in board.protocol.metrics}
    tables = [score_table(board, comparisons)]
    if len(board.entries) > 1:
        tables.append(significance_table(board, metrics[SHOWN[0]], against.name, comparisons[SHOWN[0]]))
    if per_sequence:
        tables += [sequence_table(board, metrics[name]) for name in SHOWN]
    if compared.broken:
        tables += [camera_table(compared, name) for name in SHOWN[:2]]
    return tables


def score_table(board: Leaderboard, comparisons: Mapping[str, Many[Comparison]]) -> Table:
    """One row per tracker: scores in percent, each with its interval, and frames per second."""
    rows = [["tracker", *(part for name in SHOWN for part in (name, "95 % interval")), "frames/s", "with reading"]]
    for place, entry in enumerate(board.entries):
        own = [comparisons[name][place] for name in SHOWN]
        cells = [part for item in own for part in (percent(item.figure), _interval(item.interval))]
        rows.append([entry.name, *cells, shown_speed(entry.speed), shown_speed(entry.whole_speed)])
    values = np.array([[entry.scores.overall[name] for name in SHOWN] for entry in board.entries])
    places = rank_cells(values.T, [True] * len(SHOWN), by_column=True)
    ranks = {(row, 2 * column - 1): rank for (row, column), rank in places.items()}
    notes = (f"{LEVEL:.0%} intervals: bootstrap over sequences, {SAMPLES} samples", *notes_of(board))
    return Table(f"{board.dataset}: {counted(len(board.sequences), 'sequence')}, in percent", rows, notes, ranks)


def camera_table(compared: ComparedSet, metric: str) -> Table:
    """One row per tracker that follows in both streams, one column for each thing that happens to the cameras."""
    boards = list(compared.conditions.values())
    names = list(dict.fromkeys(entry.name for board in compared.broken.values() for entry in board.entries))
    rows: list[Row] = [["tracker", *compared.conditions]]
    values = np.full((len(names), len(boards)), np.nan)
    for column, board in enumerate(boards):
        for entry in board.entries:
            if entry.name in names:
                values[names.index(entry.name), column] = entry.scores.overall[metric]
    rows += [[name, *map(percent, line)] for name, line in zip(names, values, strict=True)]
    title = f"{compared.board.dataset}: {metric} by what happens to the cameras, in percent"
    return Table(title, rows, ranks=rank_cells(values.T, [True] * len(boards), by_column=True))


def comparison_page(sets: Many[tuple[str, Many[Table]]]) -> str:
    """The tables of all sets in Markdown."""
    parts = [
        part for title, tables in sets for part in (f"### {escape_markdown(title)}", *map(format_markdown, tables))
    ]
    return "\n\n".join(parts) + "\n"


def comparison_rows(sets: Many[ComparedSet]) -> list[Row]:
    """Rows of set, cameras, tracker, sequence, metric, value; scores in [0, 1], and frames/s of all sequences."""
    rows = [["set", "cameras", "tracker", "sequence", "metric", "value"]]
    for compared in sets:
        for condition, board in compared.conditions.items():
            for entry in board.entries:
                begin = [board.dataset, condition, entry.name]
                rows += [[*begin, *line] for line in _entry_rows(entry)]
    return rows


def _entry_rows(entry: LeaderboardEntry) -> list[Row]:
    overall = [["", name, f"{value:.6f}"] for name, value in entry.scores.overall.items()]
    speeds = {"frames/s": entry.speed, "frames/s with reading": entry.whole_speed}
    overall += [["", name, f"{value:.2f}"] for name, value in speeds.items() if value is not None]
    each = entry.scores.per_sequence.items()
    pairs = [(metric, *pair) for metric, values in each for pair in zip(entry.sequences, values, strict=True)]
    return overall + [[video, metric, f"{value:.6f}"] for metric, video, value in pairs]


def _interval(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return f"{100 * low:.1f} to {100 * high:.1f}"
