"""The HTML report: one file with figures, tables and sources; opens without a server; a click sorts a table."""

import base64
import io
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many
from html import escape

from matplotlib import rc_context
from matplotlib.figure import Figure

from ...core.table import BEST, SECOND, Table
from ..analysis.leaderboard import Leaderboard, LeaderboardEntry
from ..analysis.significance import Comparison, compare_with
from .style import STYLE
from .tables import (
    attribute_table,
    confidence_table,
    overall_table,
    sequence_table,
    significance_table,
    summary_table,
)

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light; --line: #d5d9de; --quiet: #5b6470; }}
body {{ font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; color: #1b1f24; margin: 0 auto; max-width: 1120px;
       padding: 0 14px 40px; }}
h1 {{ font-size: 1.5em; }} h2 {{ font-size: 1.25em; border-bottom: 2px solid #0072b2; margin-top: 2em; }}
h3 {{ font-size: 1em; margin: 1.6em 0 .4em; }}
nav a {{ margin-right: 1em; }} a {{ color: #0060a0; }}
.scroll {{ overflow-x: auto; max-width: 100%; }} .tall {{ max-height: 75vh; overflow-y: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9em; }}
th, td {{ padding: 3px 9px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }}
th:first-child, td:first-child {{ text-align: left; position: sticky; left: 0; background: #fff; }}
th {{ cursor: pointer; position: sticky; top: 0; background: #eef2f6 !important; z-index: 1; user-select: none; }}
th:first-child {{ z-index: 2; }} tbody tr:hover td {{ background: #f3f7fb; }}
th[aria-sort=ascending]::after {{ content: " ▲"; }} th[aria-sort=descending]::after {{ content: " ▼"; }}
.second {{ text-decoration: underline; }} .note {{ color: var(--quiet); font-size: .85em; margin: .3em 0; }}
.warn {{ color: #8a3b00; font-weight: 600; }}
.figures {{ margin: 14px 0; display: flex; flex-wrap: wrap; gap: 14px; align-items: flex-start; }}
.figures img {{ width: 345px; max-width: 100%; }}
@media (max-width: 560px) {{ .figures img {{ width: 100%; }} }}
details {{ margin: .8em 0; }} summary {{ cursor: pointer; color: #0060a0; }}
input {{ font: inherit; padding: 2px 6px; margin: .4em 0; }}
</style></head><body>
"""

SCRIPT = """<script>
const number = cell => { const value = parseFloat(cell.replace('<', '')); return isNaN(value) ? null : value; };
document.querySelectorAll('th').forEach(head => head.addEventListener('click', () => {
  const table = head.closest('table'), body = table.tBodies[0], column = head.cellIndex;
  const up = head.getAttribute('aria-sort') === 'descending' || (!head.hasAttribute('aria-sort') && column === 0);
  table.querySelectorAll('th').forEach(other => other.removeAttribute('aria-sort'));
  head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
  const text = row => row.cells[column].textContent;
  [...body.rows].sort((one, two) => {
    const a = column ? number(text(one)) : null, b = column ? number(text(two)) : null;
    if (column && (a === null || b === null)) return (a === null) - (b === null);
    return (column ? a - b : text(one).localeCompare(text(two))) * (up ? 1 : -1);
  }).forEach(row => body.append(row));
}));
document.querySelectorAll('input[type=search]').forEach(box => box.addEventListener('input', () => {
  const word = box.value.toLowerCase();
  for (const row of box.parentElement.querySelector('tbody').rows)
    row.hidden = !row.cells[0].textContent.toLowerCase().includes(word);
}));
</script></body></html>
"""


def write_page(
    title: str,
    boards: Many[Leaderboard],
    figures: Many[Mapping[str, Figure]],
    references: Many[LeaderboardEntry],
) -> str:
    """The HTML of the page. figures, references: for each leaderboard its figures by name, and the tracker that all
    others are compared with."""
    parts = [HEAD.format(title=escape(title)), f"<h1>{escape(title)}</h1>"]
    if len(boards) > 1:
        links = (f'<a href="#{escape(board.dataset)}">{escape(board.dataset)}</a>' for board in boards)
        parts += [f"<nav>{''.join(links)}</nav>", _table(summary_table(boards))]
    for items in zip(boards, figures, references, strict=True):
        parts += _section(*items)
    return "\n".join([*parts, SCRIPT])


def _section(board: Leaderboard, figures: Mapping[str, Figure], reference: LeaderboardEntry) -> Iterable[str]:
    yield f'<h2 id="{escape(board.dataset)}">{escape(board.dataset)}</h2>'
    yield _table(overall_table(board))
    sources = dict.fromkeys(f"{metric.name}: {metric.title}. {metric.source}" for metric in board.protocol.metrics)
    yield "".join(f'<p class="note">{escape(source)}</p>' for source in sources)
    yield f'<div class="figures">{"".join(_image(name, figure) for name, figure in figures.items())}</div>'
    if len(board.entries) > 1 and board.protocol.additive:
        yield from _folded(_significance(board, reference, compare_with(board, reference)))
    if board.protocol.confident:
        yield from _folded([confidence_table(board)])
    if board.attributes:
        yield from _folded(attribute_table(board, metric) for metric in board.metrics)
    yield from _folded((sequence_table(board, metric) for metric in board.metrics), search=True, opened=False)


def _significance(
    board: Leaderboard, reference: LeaderboardEntry, tests: dict[str, list[Comparison]]
) -> Iterable[Table]:
    return (significance_table(board, metric, reference.name, tests[metric.name]) for metric in board.metrics)


def _folded(tables: Iterable[Table], *, search: bool = False, opened: bool = True) -> Iterable[str]:
    """One table per metric, each in a box that can be opened; the first one, of the main metric, is open."""
    for index, table in enumerate(tables):
        box = '<input type="search" placeholder="filter by name">' if search else ""
        state = " open" if opened and index == 0 else ""
        yield f"<details{state}><summary>{escape(table.title)}</summary>{box}{_table(table, titled=False)}</details>"


def _table(table: Table, *, titled: bool = True) -> str:
    styles = {BEST: "<b>{}</b>", SECOND: '<span class="second">{}</span>', None: "{}"}
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.rows[0])
    lines = []
    for line, row in enumerate(table.rows[1:], 1):
        cells = [styles[table.ranks.get((line, place))].format(escape(cell)) for place, cell in enumerate(row)]
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    title = f"<h3>{escape(table.title)}</h3>" if titled else ""
    notes = "".join(
        f'<p class="note{" warn" * note.startswith("INCOMPLETE")}">{escape(note)}</p>' for note in table.notes
    )
    tall = " tall" if len(lines) > 30 else ""
    body = "\n".join(lines)
    table_body = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'{title}{notes}<div class="scroll{tall}"><table>{table_body}</table></div>'


def _image(name: str, figure: Figure) -> str:
    """A figure as SVG, embedded in the page."""
    buffer = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{escape(name)}" src="data:image/svg+xml;base64,{data}">'
