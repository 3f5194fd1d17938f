"""Long-term rules against numbers computed by hand and against a slow reading of the papers; files, tables, plots."""

import math

import numpy as np
import pytest
from slow_rules import broken, clipped, shared

from lib.core.errors import InputError
from lib.test.analysis.leaderboard import Leaderboard, ScoredSequence, average, evaluate
from lib.test.metrics import OXUVA, PROTOCOLS, VOT_LT, GroundTruth, protocol_of, score
from lib.test.metrics.long_term import maximum_geometric_mean
from lib.test.report.page import write_page
from lib.test.report.plots import draw_all
from lib.test.report.style import line_styles
from lib.test.report.tables import confidence_table, overall_table, sequence_table
from lib.test.results.dialect import read_confidence, read_result
from lib.test.results.files import write_result

NONE = [math.nan] * 4
# Frame 0 is given. Overlaps of the others: 1, 1/3, 0 (far away), no target, no target; the last one has no box.
TRUTH = GroundTruth(np.array([[0, 0, 10, 10]] * 4 + [NONE, NONE, [0, 0, 10, 10]], float))
BOXES = np.array([[0, 0, 10, 10]] * 2 + [[5, 0, 10, 10], [50, 50, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], NONE])
SURE = np.array([1, 0.9, 0.8, 0.5, 0.5, 0.1, 0.95])
REPORT = np.array([1, 1, 1, 1, 1, 0, 1])
RESULT = np.concatenate([BOXES, SURE[:, None], REPORT[:, None]], axis=1)


def test_f_score_by_hand():
    scores = score(VOT_LT, [TRUTH], [RESULT])
    # t = 0.9: Pr 1, Re 1/4; t = 0.8: Pr 2/3, Re 1/3, the best; t = 0.5: 1/3, 1/3; t = 0.1: 4/15, 1/3
    assert scores.overall == pytest.approx({"F": 4 / 9, "Pr": 2 / 3, "Re": 1 / 3})
    assert scores.frames.tolist() == [6]
    precision, recall = scores.mean_curves
    assert set(zip(precision.round(6), recall.round(6), strict=True)) == {
        (1, 0.25),
        (round(2 / 3, 6), round(1 / 3, 6)),
        (round(1 / 3, 6), round(1 / 3, 6)),
        (round(4 / 15, 6), round(1 / 3, 6)),
    }


def test_rates_by_hand():
    # of 4 targets one is found (1/3 is below 0.5, one far away, one without a box); of 2 absences one is reported
    overall = score(OXUVA, [TRUTH], [RESULT]).overall
    assert overall == pytest.approx({"MaxGM": math.sqrt(1 / 8), "GM": math.sqrt(1 / 8), "TPR": 1 / 4, "TNR": 1 / 2})
    always = score(OXUVA, [TRUTH], [BOXES])  # four columns: every box is reported
    assert always.overall == pytest.approx({"MaxGM": math.sqrt(1 / 16), "GM": 0, "TPR": 1 / 4, "TNR": 0})
    exact = np.concatenate([TRUTH.boxes[:4], TRUTH.boxes[:1] + [5, 0, -5, 0], TRUTH.boxes[:2]])[: len(TRUTH.boxes)]
    assert score(OXUVA, [TRUTH], [exact]).overall["TPR"] == 1


def test_an_overlap_of_one_half_is_found():
    truth = GroundTruth(np.array([[0, 0, 10, 10], [0, 0, 10, 10]], float))
    assert score(OXUVA, [truth], [np.array([[0, 0, 10, 10], [0, 0, 10, 5]], float)]).overall["TPR"] == 1
    assert score(OXUVA, [truth], [np.array([[0, 0, 10, 10], [0, 0, 10, 4.9]], float)]).overall["TPR"] == 0


@pytest.mark.parametrize(("positive", "negative"), [(0.7, 0.0), (0.9, 0.3), (0.4, 0.5), (0.2, 0.95), (0, 0), (1, 1)])
def test_maximum_geometric_mean_is_that_of_all_shares(positive, negative):
    shares = np.linspace(0, 1, 20001)
    searched = np.sqrt(shares * positive * (shares * negative + 1 - shares)).max()
    assert maximum_geometric_mean(np.array(positive), np.array(negative)) == pytest.approx(searched, abs=1e-8)


def draw(seed: int, frames: int = 90) -> tuple[GroundTruth, np.ndarray]:
    """A target that leaves, a tracker that answers most of the time; confidences with ties."""
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(1, 60, (frames, 4)) + [0, 0, 8, 8]
    result = boxes + rng.uniform(-9, 9, (frames, 4)) * rng.choice([0.2, 1, 4], (frames, 1))
    result[:, 2:] = np.maximum(result[:, 2:], 2)
    result[rng.random(frames) < 0.1] = np.nan
    confidence = rng.integers(0, 30, (frames, 1)) / 30
    report = rng.random((frames, 1)) < 0.8
    return GroundTruth(boxes, absent=rng.random(frames) < 0.3, size=(70, 60)), np.concatenate(
        [result, confidence, report], 1
    )


def slow_overlaps(truth: GroundTruth, result: np.ndarray) -> list[tuple[bool, bool, float]]:
    """Of every frame but the first: is there a target, is there a box, how far do they overlap."""
    rows = []
    for k in range(1, len(result)):
        there, box = not truth.absent[k], not broken(result[k, :4])
        both = there and box
        pair = clipped(truth.boxes[k], truth.size), clipped(result[k, :4], truth.size)
        rows.append((there, box, max(0.0, shared(*pair)) if both else 0.0))
    return rows


def slow_f(pairs) -> dict[str, float]:
    best = (-1.0, 0.0, 0.0)
    for threshold in sorted({row[4] for _, result in pairs for row in result[1:]}):
        precisions, recalls = [], []
        for truth, result in pairs:
            frames = list(zip(slow_overlaps(truth, result), result[1:, 4], strict=True))
            said = [overlap for (_, box, overlap), sure in frames if box and sure >= threshold]
            precisions.append(sum(said) / len(said) if said else 1.0)
            recalls.append(sum(said) / sum(there for (there, _, _), _ in frames))
        precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
        if precision + recall:
            best = max(best, (2 * precision * recall / (precision + recall), precision, recall))
    return dict(zip(("F", "Pr", "Re"), best, strict=True))


def slow_rates(pairs) -> dict[str, float]:
    found = present = rejected = absent = 0
    for truth, result in pairs:
        for (there, box, overlap), report in zip(slow_overlaps(truth, result), result[1:, 5], strict=True):
            present += there
            absent += not there
            found += there and box and bool(report) and overlap >= 0.5
            rejected += not there and not (box and report)
    positive, negative = found / present, rejected / absent
    shares = [k / 5000 for k in range(5001)]
    best = max(math.sqrt(q * positive * (q * negative + 1 - q)) for q in shares)
    return {"MaxGM": best, "GM": math.sqrt(positive * negative), "TPR": positive, "TNR": negative}


@pytest.mark.parametrize("seed", range(4))
def test_same_as_a_slow_reading_of_the_papers(seed):
    pairs = [draw(10 * seed + part, frames=60 + 25 * part) for part in range(3)]
    columns = list(zip(*pairs, strict=True))
    assert score(VOT_LT, *columns).overall == pytest.approx(slow_f(pairs), abs=1e-12)
    assert score(OXUVA, *columns).overall == pytest.approx(slow_rates(pairs), abs=1e-6)


def test_more_thresholds_than_points_change_no_figure():
    truth, result = draw(5, frames=300)
    result[:, 4] = np.random.default_rng(6).permutation(300) / 300
    scores = score(VOT_LT, [truth], [result])
    assert scores.overall == pytest.approx(slow_f([(truth, result)]), abs=1e-12)
    precision, recall = scores.mean_curves
    assert len(precision) == 101 and (np.diff(recall[1:]) >= 0).all()


def test_the_first_frame_sparse_rows_and_two_annotations():
    poor = RESULT.copy()
    poor[0] = [900, 900, 1, 1, 0, 0]
    assert score(VOT_LT, [TRUTH], [poor]).overall == score(VOT_LT, [TRUTH], [RESULT]).overall
    every = np.full((61, 6), 0.5)
    every[::10] = RESULT
    sparse = TRUTH._replace(annotated=np.arange(7) * 10)
    assert score(VOT_LT, [sparse], [every]).overall == score(VOT_LT, [TRUTH], [RESULT]).overall
    other = TRUTH._replace(boxes=TRUTH.boxes + [300, 0, 0, 0], boxes_infrared=TRUTH.boxes)
    assert score(OXUVA, [other], [RESULT]).overall == score(OXUVA, [TRUTH], [RESULT]).overall


def test_what_has_no_meaning_is_refused_or_left_open():
    gone = GroundTruth(TRUTH.boxes, absent=np.array([False] + [True] * 6))
    with pytest.raises(ValueError, match="video 1: no target after the first frame"):
        score(VOT_LT, [TRUTH, gone], [RESULT, RESULT])
    there = GroundTruth(np.tile(TRUTH.boxes[:1], (7, 1)))
    assert math.isnan(score(OXUVA, [there], [RESULT]).overall["TNR"])  # no absence to report
    silent = np.full((7, 6), np.nan)
    assert score(VOT_LT, [TRUTH], [silent]).overall == {"F": 0, "Pr": 1, "Re": 0}


def put(folder, **sure):
    """The results of one tracker on sequences a and b."""
    for name, confidence in sure.items():
        boxes = np.nan_to_num(BOXES)
        write_result(folder, name, boxes, np.ones(7), confidence)


def videos(*names: str) -> list[ScoredSequence]:
    return [ScoredSequence(name, TRUTH) for name in names]


def test_files_of_the_family_and_of_vot(tmp_path):
    both = np.stack([SURE, REPORT], 1)
    put(tmp_path / "ours", a=both)
    own = evaluate("ours", tmp_path / "ours", videos("a"), VOT_LT)
    assert own.scores.overall == pytest.approx({"F": 4 / 9, "Pr": 2 / 3, "Re": 1 / 3})
    (tmp_path / "vot" / "a").mkdir(parents=True)
    rows = ["1", *(",".join(f"{value:g}" for value in row) for row in BOXES[1:6]), "0"]
    (tmp_path / "vot" / "a" / "a_001.txt").write_text("\n".join(rows) + "\n")
    (tmp_path / "vot" / "a" / "a_001_confidence.value").write_text("\n" + "\n".join(map(str, SURE[1:])) + "\n")
    other = evaluate("vot", tmp_path / "vot", videos("a"), VOT_LT)
    assert other.scores.overall == pytest.approx(own.scores.overall)
    known = read_confidence(tmp_path / "vot" / "a" / "a_001.txt", "a")
    assert math.isnan(known[0, 0]) and known[1:].tolist() == [[value, 1] for value in SURE[1:]]
    assert read_result(tmp_path / "ours" / "a.txt").shape == (7, 4)


def test_results_without_confidence_are_said(tmp_path, caplog):
    put(tmp_path, a=None, b=None)
    overall = evaluate("short", tmp_path, videos("a", "b"), VOT_LT).scores.overall
    assert "short: no <sequence>_confidence.txt beside its results: every box counts as certain" in caplog.text
    assert overall == pytest.approx({"F": 2 * 4 / 15 / 3 / (4 / 15 + 1 / 3), "Pr": 4 / 15, "Re": 1 / 3})
    put(tmp_path, b=np.ones((7, 2)))
    with pytest.raises(InputError, match=r"1 of 2 results have no <sequence>_confidence.txt, the first: .*a\.txt"):
        evaluate("half", tmp_path, videos("a", "b"), VOT_LT)
    (tmp_path / "a_confidence.txt").write_text("1\t1\n")
    with pytest.raises(InputError, match=r"a\.txt: 7 boxes and 1 confidences; track the sequence again"):
        evaluate("half", tmp_path, videos("a", "b"), VOT_LT)


@pytest.fixture
def board(tmp_path):
    """A tracker that knows when it is wrong and one that is always certain, on two sequences with an attribute each."""
    both = np.stack([SURE, REPORT], 1)
    put(tmp_path / "wise", a=both, b=both)
    put(tmp_path / "bold", a=np.ones((7, 2)), b=np.ones((7, 2)))

    def make(rules: str) -> Leaderboard:
        seen = tuple(ScoredSequence(name, TRUTH, frozenset({"OV", name})) for name in "ab")
        entries = tuple(evaluate(name, tmp_path / name, seen, PROTOCOLS[rules]) for name in ("wise", "bold"))
        return Leaderboard("park", PROTOCOLS[rules], seen, entries)

    return make


@pytest.mark.parametrize("rules", ["vot_lt", "oxuva"])
def test_tables_and_plots(board, rules):
    made = board(rules)
    table = overall_table(made)
    assert table.rows[0][1:-2] == [metric.name for metric in made.protocol.metrics]
    assert table.rows[1][1:4] == {"vot_lt": ["44.44", "66.67", "33.33"], "oxuva": ["35.36", "35.36", "25.00"]}[rules]
    assert [row[1] for row in sequence_table(made, made.main).rows[1:]] == [table.rows[1][1]] * 2
    drawn = draw_all(made, line_styles([made]), (made.entries[0], made.entries[1]))
    own = {"vot_lt": {"park_precision_recall", "park_F"}, "oxuva": {"park_rates"}}[rules]
    assert set(drawn) == own | {"park_radar", "park_wise_bold"}
    for name in own:
        labels = [text.get_text() for text in drawn[name].legends[0].get_texts()]
        assert labels[0] == f"wise [{float(table.rows[1][1]):.1f}]" and len(labels) == 2


def test_confidences_by_what_the_box_is_on(board):
    table = confidence_table(board("vot_lt"))
    assert table.rows[0][:4] == ["tracker", "its box is", "frames", "5 %"]
    assert [row[:3] for row in table.rows[1:4]] == [
        ["wise", "on the target", "2"],  # one frame of each sequence
        ["wise", "elsewhere", "4"],
        ["wise", "no target", "4"],
    ]
    assert [row[5] for row in table.rows[1:4]] == ["0.900", "0.650", "0.300"]  # medians
    page = write_page("Results", [board("oxuva")], [{}], [board("oxuva").entries[0]])
    assert "quantiles of the confidence" in page and "permutation" not in page


def test_runs_are_averaged(board):
    one, two = board("vot_lt").entries
    both = average("both", [one, two])
    assert both.scores.overall["Re"] == pytest.approx((one.scores.overall["Re"] + two.scores.overall["Re"]) / 2)
    assert set(both.spread) == {"F", "Pr", "Re"}


def test_sets_with_these_rules():
    assert protocol_of("votlt2019") is VOT_LT and protocol_of("uav20l") is PROTOCOLS["uav"]
