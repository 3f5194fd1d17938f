"""Tables in every form, plots, the HTML page, and what is said about results that are not right."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from boards import board, entry
from full_disk import files_up_to

from lib.core.errors import InputError
from lib.core.table import BEST, SECOND, Table, format_latex, format_markdown, format_text
from lib.test.analysis.attributes import read_attributes, with_attributes
from lib.test.analysis.leaderboard import ScoredSequence, average, evaluate
from lib.test.analysis.result_checks import other_convention
from lib.test.analysis.significance import compare_with
from lib.test.analysis.sources import named_sources, own_source, paired
from lib.test.metrics import GOT10K, LASHER, RGBT234, GroundTruth
from lib.test.report.page import write_page
from lib.test.report.plots import curve_figure, draw_all
from lib.test.report.style import line_styles, save_figure
from lib.test.report.tables import (
    attribute_table,
    csv_rows,
    notes_of,
    overall_table,
    sequence_table,
    significance_table,
    summary_table,
)

GOOD, FAIR, POOR = (np.linspace(low, low + 0.2, 6) for low in (0.6, 0.4, 0.2))
NAMES = ("NO", "PO", "TO")


@pytest.fixture
def three():
    return board(entry("good", GOOD), entry("fair|_", FAIR), entry("poor", POOR), attributes=NAMES)


@pytest.fixture
def incomplete(three):
    part = replace(entry("part", POOR[:4]), missing=("s4", "s5"))
    return replace(three, entries=(*three.entries, part))


def test_best_and_second_are_marked(three):
    table = overall_table(three)
    assert table.rows[0] == ["tracker", "PR", "NPR", "SR", "frames/s", "sequences"]
    assert table.rows[1] == ["good", "70.00", "70.00", "70.00", "-", "6"]
    assert {table.ranks[1, column] for column in (1, 2, 3)} == {BEST}
    assert {table.ranks[2, column] for column in (1, 2, 3)} == {SECOND} and (3, 1) not in table.ranks


def test_ties_share_a_rank_and_single_trackers_have_none():
    tied = overall_table(board(entry("a", GOOD), entry("b", GOOD + 1e-9), entry("c", POOR)))
    assert (tied.ranks[1, 1], tied.ranks[2, 1], tied.ranks[3, 1]) == (BEST, BEST, SECOND)
    assert overall_table(board(entry("a", GOOD))).ranks == {}


def test_every_table_says_what_is_incomplete(incomplete):
    metric, reference = incomplete.main, incomplete.entries[0]
    comparisons = compare_with(incomplete, reference)["SR"]
    tables = [
        overall_table(incomplete),
        summary_table([incomplete, incomplete]),
        attribute_table(incomplete, metric),
        sequence_table(incomplete, metric),
        significance_table(incomplete, metric, "good", comparisons),
    ]
    for table in tables:
        for form in (format_text, format_markdown, format_latex):
            text = form(table)
            assert "INCOMPLETE: part is scored on 4 of 6 sequences (without s4, s5)" in text
    page = write_page("Results", [incomplete], [{}], [reference])
    assert page.count("INCOMPLETE: part is scored on 4 of 6") == 1 + 3 + 3 + 3
    assert csv_rows([incomplete])[-1] == ["part", "set", "coverage", "0.666667"]
    assert sequence_table(incomplete, metric).rows[-1][-1] == "-"


def test_attribute_table(three):
    table = attribute_table(three, three.main)
    assert [row[0] for row in table.rows] == ["attribute", "NO (6)", "PO (5)", "TO (4)"]
    assert table.rows[2][1] == f"{100 * GOOD[1:].mean():.2f}" and table.ranks[2, 1] == BEST


def test_runs_show_their_spread():
    runs = average("x", [entry("x", GOOD), entry("x", GOOD + 0.1)])
    whole = board(runs)
    spread = 100 * np.std([0.7, 0.8], ddof=1)
    assert overall_table(whole).rows[1][1] == f"75.00 ± {spread:.2f}"
    assert notes_of(whole) == ("x: mean of 2 runs, ± their standard deviation",)
    assert ["x", "set", "SR_std", f"{spread / 100:.6f}"] in csv_rows([whole])
    assert r"75.00 $\pm$ 7.07" in format_latex(overall_table(whole))


def test_summary_over_sets_leaves_gaps(three):
    other = replace(board(entry("good", FAIR, RGBT234)), dataset="rgbt234")
    table = summary_table([three, other])
    assert table.rows[0][1:] == ["set PR", "set NPR", "set SR", "rgbt234 MPR", "rgbt234 MSR"]
    assert table.rows[1][4:] == ["50.00", "50.00"] and table.rows[2][4:] == ["-", "-"]


def test_forms_escape_what_they_must():
    table = Table("t_1 & 50%", [["a", "b"], ["x|y\\{}", "1"]], (), {(1, 1): BEST})
    assert format_markdown(table).splitlines()[2:] == ["| a | b |", "| --- | ---: |", "| x\\|y\\\\{} | **1** |"]
    latex = format_latex(table)
    assert r"x|y\textbackslash \{\} & \textbf{1} \\" in latex and r"\caption{t\_1 \& 50\%}" in latex
    assert format_text(table).splitlines()[2:] == ["a       b", "---------", "x|y\\{}  1"]


def test_plots_are_files_of_column_width(three, tmp_path):
    figures = draw_all(three, line_styles([three]), (three.entries[0], three.entries[1]))
    assert list(figures) == ["set_PR", "set_NPR", "set_SR", "set_radar", "set_good_fair__"]
    for stem in ("set_SR", "set_radar", "set_good_fair__"):
        save_figure(tmp_path / "plots" / f"{stem}.png", figures[stem])
        assert cv2.imread(str(tmp_path / "plots" / f"{stem}.png")).shape[1] == 1020
    save_figure(tmp_path / "a.pdf", figures["set_SR"])
    save_figure(tmp_path / "b.pdf", figures["set_SR"])
    data = (tmp_path / "a.pdf").read_bytes()
    assert data.startswith(b"%PDF") and b"/TrueType" in data or b"/CIDFontType2" in data
    assert data == (tmp_path / "b.pdf").read_bytes()


@pytest.mark.parametrize("suffix", ["pdf", "png"])
def test_a_full_disk_is_named_by_the_figure_and_leaves_nothing(three, tmp_path, suffix):
    figure = draw_all(three, line_styles([three]), (three.entries[0], three.entries[1]))["set_SR"]
    with files_up_to(500), pytest.raises(OSError, match="File too large") as caught:
        save_figure(tmp_path / "plots" / f"a.{suffix}", figure)
    assert caught.value.filename == str(tmp_path / "plots" / f"a.{suffix}") and not list(tmp_path.iterdir())


def test_curves_carry_their_figures_and_incomplete_trackers_their_count(incomplete):
    figure = curve_figure(incomplete, incomplete.main, line_styles([incomplete]))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["good [70.0]", "fair|_ [50.0]", "poor [30.0]", "part (4 seq.) [26.0]"]
    assert len({(line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines()[:4]}) == 4


def test_figures_without_thresholds_have_no_curve():
    whole = board(entry("a", GOOD, GOT10K), entry("b", FAIR, GOT10K))
    assert whole.main.name == "AO"
    assert list(draw_all(whole, line_styles([whole]), None)) == ["set_SR50", "set_SR75"]


class Page(HTMLParser):
    """Counts tags and keeps what a page would load from elsewhere."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_whole_and_loads_nothing(three):
    figures = draw_all(three, line_styles([three]), None)
    renamed = replace(three, dataset="<b>&", entries=(replace(three.entries[0], name="<script>x"), *three.entries[1:]))
    text = write_page("Results <1>", [renamed, three], [figures, figures], [renamed.entries[0], three.entries[0]])
    page = Page(text)
    assert page.open == []
    assert all(source.startswith(("data:image/svg+xml;base64,", "#")) for source in page.sources)
    assert text.count("<img") == 2 * len(figures) and "<script>x" not in text and "Results &lt;1&gt;" in text
    assert not re.search(r"https?://|@import|url\(", re.sub(r"base64,[^\"]*", "", text))
    assert text == write_page(
        "Results <1>",
        [renamed, three],
        [draw_all(three, line_styles([three]), None)] * 2,
        [renamed.entries[0], three.entries[0]],
    )


def put(folder, name: str, rows: np.ndarray | str) -> None:
    folder.mkdir(exist_ok=True)
    if isinstance(rows, str):
        (folder / f"{name}.txt").write_text(rows)
    else:
        np.savetxt(folder / f"{name}.txt", rows, fmt="%.3f", delimiter=",")


@pytest.fixture
def walk():
    """Three videos of 40 frames, far from the origin, and their boxes."""
    frames = np.arange(40)[:, None]
    boxes = [
        np.concatenate([100 + 5 * k + frames, 200 + frames, 0 * frames + 30, 0 * frames + 60], 1) for k in range(3)
    ]
    return [ScoredSequence(name, GroundTruth(rows.astype(float))) for name, rows in zip("abc", boxes, strict=True)]


def test_right_results_say_nothing(walk, tmp_path, caplog):
    for video in walk:
        put(tmp_path / "x", video.name, video.truth.boxes + [3, -2, 4, 5])
    assert evaluate("x", tmp_path / "x", walk, LASHER).scores.overall["PR"] == 1 and not caplog.text


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: rows[:30], r"b\.txt: 30 result rows for 40 annotated frames; the result is cut short"),
        (lambda rows: "1,2,3,4\n1,2,three,4\n", r"b\.txt: line 2: expected 4 numbers, got '1,2,three,4'"),
        (lambda rows: "", r"b\.txt: file is empty"),
        (lambda rows: rows[:, :3], r"b\.txt: line 1: expected 4 numbers"),
    ],
)
def test_unusable_results_end_in_one_line(walk, tmp_path, spoil, message):
    for video in walk:
        put(tmp_path / "x", video.name, video.truth.boxes)
    put(tmp_path / "x", "b", spoil(walk[1].truth.boxes))
    with pytest.raises(InputError, match=message) as error:
        evaluate("x", tmp_path / "x", walk, LASHER, allow_missing=True)
    assert "\n" not in str(error.value)


def test_missing_results_end_in_one_line_or_are_left_out(walk, tmp_path, caplog):
    put(tmp_path / "x", "a", walk[0].truth.boxes)
    with pytest.raises(
        InputError, match="x: 2 of 3 results are missing: b, c; score what is there with --allow_missing"
    ):
        evaluate("x", tmp_path / "x", walk, LASHER)
    part = evaluate("x", tmp_path / "x", walk, LASHER, allow_missing=True)
    assert part.sequences == ("a",) and part.missing == ("b", "c")
    assert "2 of 3 results are missing: b, c; x is scored on the other 1 only" in caplog.text
    with pytest.raises(InputError, match="3 of 3 results are missing"):
        evaluate("y", tmp_path / "y", walk, LASHER, allow_missing=True)


def test_negative_sizes_and_surplus_rows_are_said_once(walk, tmp_path, caplog):
    rows = walk[0].truth.boxes.copy()
    rows[5:8, 2] *= -1
    rows[9] = np.nan
    for video in walk:
        put(tmp_path / "x", video.name, rows if video.name != "c" else np.concatenate([video.truth.boxes] * 2))
    evaluate("x", tmp_path / "x", walk, LASHER)
    assert [record.getMessage().replace(str(tmp_path), "") for record in caplog.records] == [
        "x: surplus rows of 1 results are not scored, the first: /x/c.txt, 80 rows for 40 annotated frames",
        "x: 8 boxes in 2 results are no boxes (no width or height, or NaN), the first: /x/a.txt, row 6",
    ]


@pytest.mark.parametrize(
    ("word", "convert"),
    [
        ("x1 y1 x2 y2", lambda rows: np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], 1)),
        ("cx cy w h", lambda rows: np.concatenate([rows[:, :2] + rows[:, 2:] / 2, rows[:, 2:]], 1)),
        ("y x h w", lambda rows: rows[:, [1, 0, 3, 2]]),
        ("y1 x1 y2 x2", lambda rows: np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], 1)[:, [1, 0, 3, 2]]),
    ],
)
def test_boxes_in_another_convention_are_warned_of(walk, tmp_path, caplog, word, convert):
    for video in walk:
        put(tmp_path / "x", video.name, convert(video.truth.boxes + [1, -1, 2, 2]))
    evaluate("x", tmp_path / "x", walk, LASHER)
    assert f"x: boxes look like {word} (mean overlap 0.8" in caplog.text and len(caplog.records) == 1


def decimal_commas(rows):
    return "".join(" ".join(f"{value:.2f}".replace(".", ",") for value in row) + "\n" for row in rows)


def twice(rows):
    return "".join(" ".join(f"{value:.2f}" for value in [*row, *(row + 3)]) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("text", "word"),
    [(decimal_commas, "x y w h with decimal commas"), (twice, "x y w h in the first four of eight columns")],
)
def test_eight_columns_that_are_no_corners_are_warned_of(walk, tmp_path, caplog, text, word):
    for video in walk:
        put(tmp_path / "x", video.name, text(video.truth.boxes + [1.25, 1.5, 2, 2]))
    evaluate("x", tmp_path / "x", walk, LASHER)
    (said,) = (message for message in caplog.messages if "look like" in message)
    assert said.startswith(f"x: boxes look like {word} (mean overlap 0.8") and "scored as the corners" in said


def test_fractions_of_the_image_are_warned_of(walk, tmp_path, caplog):
    for video in walk:
        put(tmp_path / "x", video.name, video.truth.boxes / [640, 480, 640, 480])
    evaluate("x", tmp_path / "x", walk, LASHER)
    assert "x: boxes look like fractions of the image (no number above " in caplog.text and len(caplog.records) == 1


def test_corners_are_not_taken_for_anything_else(walk, tmp_path, caplog):
    for video in walk:
        x, y, w, h = (video.truth.boxes + [1, -1, 2, 2]).T
        put(tmp_path / "x", video.name, np.stack([x, y, x + w, y, x + w, y + h, x, y + h], 1).round())
    evaluate("x", tmp_path / "x", walk, LASHER)
    assert not caplog.records


def test_results_that_begin_elsewhere_are_warned_of(walk, tmp_path, caplog):
    for video in walk:
        put(tmp_path / "x", video.name, video.truth.boxes + [90 if video.name == "b" else 1, 0, 0, 0])
    evaluate("x", tmp_path / "x", walk, LASHER)
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith("x: 1 of 3 results do not begin with the given box, the first: ") and "b.txt; were" in said


@pytest.mark.parametrize(
    ("factor", "convert", "words"),
    [
        ((1000 / 640, 1000 / 480), lambda rows: rows, "x y w h in other units, pixels after x times 0.64 and y times"),
        ((0.5, 0.5), lambda rows: rows, "x y w h in other units, pixels after x times 2 and y times 2"),
        (
            (1000 / 640, 1000 / 480),
            lambda rows: np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], 1),
            "x1 y1 x2 y2 in other units, pixels after x times 0.64 and y times 0.48",
        ),
    ],
)
def test_boxes_in_other_units_are_warned_of(walk, tmp_path, caplog, factor, convert, words):
    for video in walk:
        put(tmp_path / "x", video.name, convert(video.truth.boxes * np.tile(factor, 2)))
    evaluate("x", tmp_path / "x", walk, LASHER)
    assert f"x: boxes look like {words}" in caplog.text and len(caplog.records) == 1


def test_a_tracker_that_went_elsewhere_is_not_taken_for_other_units(walk):
    """Its boxes fit when they are halved, but its first row is the given one."""
    truths = [video.truth.boxes for video in walk]
    assert other_convention(truths, [np.concatenate([rows[:1], rows[1:] * 2]) for rows in truths]) is None


def test_lost_trackers_are_not_taken_for_another_convention(walk):
    truths = [video.truth.boxes for video in walk]
    assert other_convention(truths, [np.random.default_rng(0).random((40, 4)) * 300 for _ in walk]) is None
    assert other_convention(truths, [np.full((40, 4), np.nan)] * 3) is None


def test_attributes_of_both_kinds(tmp_path, walk):
    for name, flags in (("a", "1,0,1"), ("b", "0,0,0"), ("c", "0,1,1")):
        put(tmp_path / "lasher", name, flags)
    (tmp_path / "attributes_order.txt").write_text("NO, PO, TO")
    expected = {"a": {"NO", "TO"}, "b": set(), "c": {"PO", "TO"}}
    assert read_attributes(tmp_path / "lasher") == expected
    for name, flags in (("SequencesName", "c\na\nb\n"), ("NO", "0\n1\n0\n"), ("PO", "1\n0\n0\n"), ("TO", "1\n1\n0\n")):
        put(tmp_path / "rgbt234", name, flags)
    assert read_attributes(tmp_path / "rgbt234") == expected
    assert [video.attributes for video in with_attributes(walk, tmp_path / "rgbt234")] == list(expected.values())
    (tmp_path / "lasher" / "b.txt").write_text("0,0")
    with pytest.raises(InputError, match=r"b\.txt: 2 flags for 3 names"):
        read_attributes(tmp_path / "lasher")
    (tmp_path / "lasher" / "b.txt").unlink()
    with pytest.raises(InputError, match="no flags for 1 sequence: b"):
        with_attributes(walk, tmp_path / "lasher")


def test_sources_by_set_and_by_run(tmp_path):
    (tmp_path / "all" / "gtot").mkdir(parents=True)
    everywhere, one = named_sources([f"a={tmp_path}/all", f"gtot:b={tmp_path}"], ["gtot", "lasher_test"])
    assert everywhere.folders_for("gtot") == (tmp_path / "all" / "gtot",)
    assert everywhere.folders_for("lasher_test") == (tmp_path / "all",)
    assert (one.name, one.dataset) == ("b", "gtot")
    with pytest.raises(InputError, match="a is given twice"):
        named_sources([f"a={tmp_path}", f"gtot:a={tmp_path}"], ["gtot"])
    runs = own_source("out", "iimf_track", "tiny", [1, 2], "--dataset_name gtot")
    assert runs.name == "iimf_track/tiny" and [folder.name for folder in runs.folders] == ["tiny_001", "tiny_002"]
    assert "python tracking/test.py iimf_track tiny --dataset_name gtot --runid 1 or 2" in runs.remedy
    assert paired(["a"], ["x", "y"]) == [("a", "x"), ("a", "y")] and paired([], []) == []


def test_a_tracker_looks_the_same_on_every_set(three):
    other = board(entry("new", GOOD), entry("poor", POOR))
    styles = line_styles([three, other])
    assert len({tuple(look.values()) for look in styles.values()}) == 4
    lines = [curve_figure(item, item.main, styles).axes[0].get_lines() for item in (three, other)]
    assert [next(line.get_color() for line in drawn if line.get_label().startswith("poor")) for drawn in lines] == [
        styles["poor"]["color"]
    ] * 2
