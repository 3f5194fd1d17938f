"""Metrics against the benchmark's verification vector and a slow reading of LasHeR's rules; what protocols share."""

import numpy as np
import pytest

from lib.test.metrics import LASHER, PLAIN, PROTOCOLS, GroundTruth, matlab_range, score

VISIBLE = np.array([(10, 10, 20, 30), (12, 11, 20, 30), (15, 15, 20, 30), (40, 40, 20, 30), (0, 5, 20, 30)], float)
INFRARED = np.array([(11, 10, 20, 30), (12, 12, 20, 30), (16, 15, 20, 30), (20, 17, 20, 30), (3, 5, 20, 30)], float)
RESULT = np.array([(10, 10, 20, 30), (14, 11, 22, 28), (18, 22, 18, 30), (21, 19, 20, 30), (2, 6, 20, 30)], float)


def lasher(truth: np.ndarray, result: np.ndarray) -> dict[str, float]:
    return score(LASHER, [GroundTruth(truth)], [result]).overall


def slow_lasher(truth: np.ndarray, result: np.ndarray) -> dict[str, float]:
    """The rules of LasHeR's kit, number by number."""
    result = [list(row) for row in result[: len(truth)]]
    for k in range(1, len(result)):
        if any(np.isnan(result[k])) or result[k][2] <= 0 or result[k][3] <= 0:
            result[k] = result[k - 1]
    result[0] = list(truth[0])
    hits = {"PR": 0, "NPR": 0, "SR": 0}
    for (x, y, w, h), (gx, gy, gw, gh) in zip(result, truth, strict=True):
        error = normalized = overlap = -1
        if gx > 0 and gy > 0 and gw > 0 and gh > 0:
            cx, cy, dx, dy = x + (w - 1) / 2, y + (h - 1) / 2, gx + (gw - 1) / 2, gy + (gh - 1) / 2
            error = ((cx - dx) ** 2 + (cy - dy) ** 2) ** 0.5
            normalized = ((cx / gw - dx / gw) ** 2 + (cy / gh - dy / gh) ** 2) ** 0.5
            shared = max(0, min(x + w, gx + gw) - max(x, gx)) * max(0, min(y + h, gy + gh) - max(y, gy))
            overlap = shared / (w * h + gw * gh - shared)
        hits["PR"] += error <= 20
        hits["NPR"] += normalized <= 20 * 0.01
        hits["SR"] += sum(overlap > (i * 0.05 if i <= 10 else 1 - (20 - i) * 0.05) for i in range(21)) / 21
    return {name: count / len(truth) for name, count in hits.items()}


def test_verification_vector():
    assert lasher(VISIBLE, RESULT) == pytest.approx({"PR": 0.8, "NPR": 0.6, "SR": 0.447619}, abs=5e-7)


def test_plain_rules_take_the_better_annotation():
    figures = score(PLAIN, [GroundTruth(VISIBLE, INFRARED)], [RESULT]).overall
    # the success thresholds and rule are those of RGBT234, whose figures for this vector are known
    assert (figures["PR"], figures["SR"]) == pytest.approx((1.0, 0.761905), abs=5e-7)


@pytest.mark.parametrize("seed", range(20))
def test_same_as_a_slow_reading_of_the_rules(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 60, (80, 4)).astype(float)
    truth[:, 2:] = rng.choice([0, 10, 20, 25, 40], (80, 2))  # round sizes: many errors and overlaps are ties
    result = truth + rng.integers(-6, 7, (80, 4))
    result[rng.random(80) < 0.1, rng.integers(4)] = np.nan
    result[rng.random(80) < 0.1, 2] = -1
    longer = np.concatenate([result, result])
    assert lasher(truth, longer) == pytest.approx(slow_lasher(truth, result), abs=1e-12)


def test_unannotated_frames_hit_precision_and_fail_success():
    truth = np.array([(5, 5, 10, 10), (0, 5, 10, 10), (5, 5, 0, 10), (0, 0, 0, 0)], float)
    far = np.tile([500.0, 500, 10, 10], (4, 1))
    figures = lasher(truth, far)
    assert (figures["PR"], figures["NPR"]) == (1, 1)
    assert figures["SR"] == pytest.approx(20 / 21 / 4)  # the first frame alone: 1 > t for all thresholds but 1


def test_an_error_at_the_threshold_is_a_hit_and_an_overlap_is_not():
    truth = np.tile([100.0, 100, 20, 20], (2, 1))
    assert lasher(truth, truth + [[0, 0, 0, 0], [12, 16, 0, 0]])["PR"] == 1
    assert lasher(truth, truth + [[0, 0, 0, 0], [12, 16.001, 0, 0]])["PR"] == 0.5
    half = lasher(truth, truth + [[0, 0, 0, 0], [0, 0, 0, 20]])["SR"]
    assert half == pytest.approx((20 + 10) / 21 / 2)  # 0.5 exceeds the ten thresholds below it


def test_thresholds_are_matlabs():
    edges = matlab_range(0.05, 1)
    assert len(edges) == 21 and edges[-1] == 1
    assert edges[3] == 3 * 0.05 != 0.15  # the last bits decide ties
    assert edges[14] == 1 - 6 * 0.05 != 14 * 0.05
    assert matlab_range(0.01, 0.5)[20] == 0.2 and matlab_range(1, 50)[20] == 20


def test_plain_rules_leave_out_absent_frames():
    truth = np.array([(5, 5, 10, 10), (5, 5, 10, 10), (0, 0, 0, 0), (np.nan,) * 4], float)
    result = np.array([(5, 5, 10, 10), (90, 5, 10, 10), (90, 5, 10, 10), (90, 5, 10, 10)], float)
    assert score(PLAIN, [GroundTruth(truth)], [result]).overall["PR"] == 0.5
    flagged = GroundTruth(truth, absent=np.array([False, True, False, False]))
    assert score(PLAIN, [flagged], [result]).overall["PR"] == 1
    lost = np.where(np.arange(4)[:, None] == 1, np.nan, result)
    assert score(PLAIN, [GroundTruth(truth)], [lost]).overall["PR"] == 0.5


def test_videos_weigh_the_same_and_arguments_stay():
    truths = [GroundTruth(VISIBLE), GroundTruth(np.repeat(VISIBLE[:1], 95, 0))]
    results = [RESULT.copy(), truths[1].boxes.copy()]
    scores = score(LASHER, truths, results)
    assert scores.overall["PR"] == pytest.approx((0.8 + 1) / 2)
    assert scores.per_sequence["PR"] == pytest.approx([0.8, 1])
    np.testing.assert_array_equal(results[0], RESULT)


def test_too_short_results_are_refused():
    with pytest.raises(ValueError, match="4 result rows for 5 annotated frames"):
        score(LASHER, [GroundTruth(VISIBLE)], [RESULT[:4]])
    with pytest.raises(ValueError, match="no videos"):
        score(LASHER, [], [])


@pytest.mark.parametrize("protocol", [item for item in PROTOCOLS.values() if item.additive], ids=lambda item: item.name)
def test_perfect_and_hopeless_results_bound_every_metric(protocol):
    scores = score(protocol, [GroundTruth(VISIBLE[:4])] * 2, [VISIBLE[:4], VISIBLE[:4] + [900, 900, 0, 0]])
    assert len(protocol.metrics) == len(scores.curves)
    for metric, curves in zip(protocol.metrics, scores.curves, strict=True):
        assert curves.shape == (2, len(metric.thresholds)) and metric.unit and metric.source and metric.title
        best, worst = metric.figure(curves)
        assert best > worst if metric.higher_is_better else best < worst
