"""Making a report: which tables, which files."""

from collections.abc import Sequence as Many
from pathlib import Path
from typing import NamedTuple

from ...core.errors import InputError
from ...core.table import Table, format_latex, format_markdown, write_csv, write_text
from ..analysis.compare import choose_reference, choose_two
from ..analysis.leaderboard import Leaderboard
from ..analysis.significance import compare_with
from .tables import (
    attribute_table,
    confidence_table,
    csv_rows,
    overall_table,
    sequence_csv_rows,
    sequence_table,
    significance_table,
    summary_table,
)


class TableOptions(NamedTuple):
    """The tables besides the overall ones, and the trackers that are compared."""

    per_attribute: bool = False
    per_sequence: bool = False
    confidence: bool = False
    significance: bool = False
    reference: str | None = None  # the tracker that all others are compared with; None: the best
    versus: Many[str] | None = None  # the two trackers of the scatter plot; None: the two best


class ReportFiles(NamedTuple):
    """The files of a report; None: not written."""

    csv: str | None = None  # overall scores
    sequence_csv: str | None = None
    markdown: str | None = None
    latex: str | None = None
    plots: str | None = None  # a folder
    html: str | None = None


_OVERALL = TableOptions()


def make_tables(boards: Many[Leaderboard], wanted: TableOptions = _OVERALL) -> list[Table]:
    """The tables of all data sets, with a summary first where there are several.

    Raises InputError for a table that cannot be made for a data set.
    """
    tables = [table for board in boards for table in _tables_of(board, wanted)]
    return [summary_table(boards), *tables] if len(boards) > 1 else tables


def write_files(
    boards: Many[Leaderboard], tables: Many[Table], files: ReportFiles, wanted: TableOptions = _OVERALL
) -> None:
    """Write the named files. matplotlib is imported only for plots and pages."""
    if files.csv:
        write_csv(files.csv, csv_rows(boards))
    if files.sequence_csv:
        write_csv(files.sequence_csv, sequence_csv_rows(boards))
    for path, form in ((files.markdown, format_markdown), (files.latex, format_latex)):
        if path:
            write_text(path, "\n\n".join(map(form, tables)) + "\n")
    if files.plots or files.html:
        _draw(boards, files, wanted)


def _tables_of(board: Leaderboard, wanted: TableOptions) -> list[Table]:
    tables = [overall_table(board)]
    if wanted.significance:
        if not board.protocol.additive:
            why = "they are not averages over sequences, which the tests need"
            raise InputError(f"--significance: figures by {board.protocol.name} rules have no intervals: {why}")
        reference = choose_reference(board, wanted.reference)
        tests = compare_with(board, reference)
        tables += [significance_table(board, metric, reference.name, tests[metric.name]) for metric in board.metrics]
    if wanted.confidence:
        if not board.protocol.confident:
            raise InputError(f"--confidence: {board.protocol.name} rules read none; take --rules vot_lt or oxuva")
        tables.append(confidence_table(board))
    if wanted.per_attribute:
        if not board.attributes:
            raise InputError(f"--per_attribute: {board.dataset} comes without attributes; name them: --attributes DIR")
        tables += [attribute_table(board, metric) for metric in board.metrics]
    if wanted.per_sequence:
        tables += [sequence_table(board, metric) for metric in board.metrics]
    return tables


def _draw(boards: Many[Leaderboard], files: ReportFiles, wanted: TableOptions) -> None:
    """Write plots and page. The import of matplotlib takes a second, so it is done here."""
    from .page import write_page
    from .plots import draw_all
    from .style import line_styles, save_figure

    styles = line_styles(boards)
    figures = [draw_all(board, styles, choose_two(board, wanted.versus)) for board in boards]
    if files.plots:
        for stem, figure in (item for drawn in figures for item in drawn.items()):
            save_figure(Path(files.plots, f"{stem}.pdf"), figure)
            save_figure(Path(files.plots, f"{stem}.png"), figure)
    if files.html:
        title = f"Tracking results on {', '.join(board.dataset for board in boards)}"
        references = [choose_reference(board, wanted.reference) for board in boards]
        write_text(files.html, write_page(title, boards, figures, references))
