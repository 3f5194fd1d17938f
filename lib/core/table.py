"""Tables as text for the terminal, Markdown, LaTeX and CSV."""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .atomic import write_atomically
from .errors import printable

Row = list[str]
BEST, SECOND = 1, 2
TEX = {  # the backslash first, since the other replacements add backslashes
    "\\": "\\textbackslash ",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": "\\textasciitilde ",
    "^": "\\textasciicircum ",
    "±": "$\\pm$",
}


_MARKDOWN = re.compile(r"[\\|<`\[*]|(?<!\w)_|_(?!\w)")  # what a name must not begin in Markdown
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, eq=False)
class Table:
    """A table. rows[0] is the header. ranks: (row, column) of a cell -> BEST or SECOND. notes: lines below it."""

    title: str
    rows: list[Row]
    notes: tuple[str, ...] = ()
    ranks: dict[tuple[int, int], int] = field(default_factory=dict)


def format_text(table: Table) -> str:
    """Aligned columns for a terminal: the first one left-aligned, the others right-aligned."""
    rows = [list(map(printable, row)) for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    notes = map(printable, table.notes)
    return "\n".join([printable(table.title), "", lines[0], "-" * len(lines[0]), *lines[1:], *notes])


def format_markdown(table: Table) -> str:
    """A Markdown table with the best scores in bold, the second ones in italics."""
    signs = {BEST: "**", SECOND: "*", None: ""}
    rows = [["---", *["---:"] * (len(table.rows[0]) - 1)]]
    for line, row in enumerate(table.rows):
        cells = [escape_markdown(cell) for cell in row]
        signed = [signs[table.ranks.get((line, place))] for place in range(len(row))]
        rows.append([f"{sign}{cell}{sign}" for sign, cell in zip(signed, cells, strict=True)])
    rows[:2] = rows[1::-1]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    notes = (f"\n{escape_markdown(note)}" for note in table.notes)
    return "\n".join([f"**{escape_markdown(table.title)}**", "", *lines, *notes])


def escape_markdown(text: str) -> str:
    """A name or sentence as Markdown that shows it as it is, in one line.

    >>> escape_markdown("a|b <script> [link](x) *")
    'a\\\\|b \\\\<script> \\\\[link](x) \\\\*'
    """
    return _MARKDOWN.sub(r"\\\g<0>", printable(text))


def format_latex(table: Table) -> str:
    """A LaTeX table (package booktabs) with the best scores in bold, the second ones underlined."""
    commands = {BEST: "\\textbf{%s}", SECOND: "\\underline{%s}", None: "%s"}
    lines = []
    for line, row in enumerate(table.rows):
        cells = [commands[table.ranks.get((line, place))] % _tex(printable(cell)) for place, cell in enumerate(row)]
        lines.append("    " + " & ".join(cells) + r" \\")
    caption = ". ".join(map(printable, [table.title, *table.notes]))
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            "\\begin{table}\n  \\centering",
            f"  \\caption{{{_tex(caption)}}}",
            f"  \\begin{{tabular}}{{l{'r' * (len(table.rows[0]) - 1)}}}",
            "    \\toprule",
            lines[0],
            "    \\midrule",
            *lines[1:],
            "    \\bottomrule\n  \\end{tabular}\n\\end{table}",
        ]
    )


def write_csv(path: str | Path, rows: Iterable[Row]) -> None:
    """Write a table as CSV, atomically. Texts that a spreadsheet would take for formulas begin with an apostrophe."""
    with write_atomically(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[_csv(cell) for cell in row] for row in rows])


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _csv(cell: str) -> str:
    if not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _tex(text: str) -> str:
    for sign, command in TEX.items():
        text = text.replace(sign, command)
    return text
