"""Names of trackers and sequences that mean something to a spreadsheet, Markdown or matplotlib, or lead elsewhere."""

import csv
import dataclasses
import re

import numpy as np
import pytest
from boards import board, entry
from matplotlib.figure import Figure

from lib.core.errors import InputError
from lib.core.table import Table, format_latex, format_markdown, format_text, write_csv
from lib.test.report.comparison import comparison_page
from lib.test.report.page import write_page
from lib.test.report.plots import draw_all
from lib.test.report.style import line_styles, save_figure
from lib.test.results.files import confidence_path, result_folder, result_paths

SCORES = np.full(6, 0.5)
HOSTILE = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "$\\frac{$", "a|b", "<script>", "x\ny", "*b*", "[a](b)"]
TABLE = Table("t", [["name", "SR"], *([name, "-1.5"] for name in HOSTILE)])


def test_markdown_and_text_keep_one_line_for_each_row():
    lines = format_markdown(TABLE).splitlines()[2:]
    assert len(lines) == 2 + len(HOSTILE) and len(format_text(TABLE).splitlines()) == 4 + len(HOSTILE)
    assert [line.split(" | ")[0][2:] for line in lines[-5:]] == [
        "a\\|b",
        "\\<script>",
        "x\\\\ny",
        "\\*b\\*",
        "\\[a](b)",
    ]
    assert r"x\textbackslash ny" in format_latex(TABLE)


@pytest.mark.parametrize("name", [*HOSTILE, "__b__", "back\\slash|"])
def test_titles_and_notes_are_shown_as_names_are(name):
    table = Table(name, TABLE.rows, (name, "b"))
    title, *_, note, _, last = format_markdown(table).splitlines()
    assert title == f"**{note}**" and last == "b"
    assert html_free(note) == name.replace("\n", "\\n") and len(format_text(table).splitlines()) == 6 + len(HOSTILE)
    caption = next(line for line in format_latex(table).splitlines() if "caption" in line)
    assert caption.startswith("  \\caption{") and caption.endswith(". b}")
    page = comparison_page([(name, [table])])
    assert page.startswith(f"### {note}\n\n**{note}**\n")


def html_free(markdown):
    """What a reader of Markdown sees: no sign is left that would mean something."""
    assert not re.search(r"(?<!\\)(?:\\\\)*[|<`\[*]", markdown)
    return re.sub(r"\\([\\|<`\[*_])", r"\1", markdown)


def test_the_page_shows_titles_and_names_as_they_are():
    name = '<script>alert(1)</script>" onload="x'
    whole = dataclasses.replace(board(entry(name, SCORES), entry("b", SCORES)), dataset=name)
    page = write_page(name, [whole, whole], [{name: Figure()}, {}], [whole.entries[0]] * 2)
    assert "<script>alert" not in page and page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10
    assert '" onload="' not in page


def test_csv_holds_no_formulas_and_numbers_stay_numbers(tmp_path):
    write_csv(tmp_path / "a.csv", TABLE.rows)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows] == [f"'{name}" for name in HOSTILE[:4]] + HOSTILE[4:]
    assert {row[1] for row in rows} == {"-1.5"}


def test_plots_show_names_as_they_are(tmp_path):
    names = ("$\\frac{$", "a_b^$")
    whole = board(*(entry(name, SCORES) for name in names), attributes=("$\\bad{$", "X", "Y"))
    figures = draw_all(whole, line_styles([whole]), whole.entries[:2])
    for stem, figure in figures.items():
        save_figure(tmp_path / f"{stem}.pdf", figure)
    assert len(list(tmp_path.iterdir())) == len(figures) > 1


def test_names_that_lead_to_another_folder_are_refused(tmp_path):
    for name in ("../../x", "..", "/x", "a/../../b"):
        for place in (result_paths, confidence_path):
            with pytest.raises(InputError, match="sequence .* cannot be the name of a file"):
                place(tmp_path, name)
        with pytest.raises(InputError, match="configuration .* cannot be the name of a file"):
            result_folder(tmp_path, "iimf_track", name)
        with pytest.raises(InputError, match="tracker .* cannot be the name of a file"):
            result_folder(tmp_path, name, "tiny")
