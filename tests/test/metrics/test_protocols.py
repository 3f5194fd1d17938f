"""The rules of every benchmark against known values and against a slow reading of them."""

import numpy as np
import pytest
from slow_rules import SLOW

from lib.test.metrics import PROTOCOLS, RULES, GroundTruth, match_rows, protocol_of, score

VISIBLE = np.array([(10, 10, 20, 30), (12, 11, 20, 30), (15, 15, 20, 30), (40, 40, 20, 30), (0, 5, 20, 30)], float)
INFRARED = np.array([(11, 10, 20, 30), (12, 12, 20, 30), (16, 15, 20, 30), (20, 17, 20, 30), (3, 5, 20, 30)], float)
RESULT = np.array([(10, 10, 20, 30), (14, 11, 22, 28), (18, 22, 18, 30), (21, 19, 20, 30), (2, 6, 20, 30)], float)


def figures(name: str, *pairs: tuple[GroundTruth, np.ndarray]) -> dict[str, float]:
    return score(PROTOCOLS[name], *zip(*pairs, strict=True)).overall


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gtot", {"PR": 0.8, "SR": 0.782}),
        ("rgbt234", {"MPR": 1.0, "MSR": 0.761905}),
        ("vtuav", {"MPR": 1.0, "MSR": 0.761905}),
        ("lasher", {"PR": 0.8, "NPR": 0.6, "SR": 0.447619}),
    ],
)
def test_verification_vector(name, expected):
    assert figures(name, (GroundTruth(VISIBLE, INFRARED), RESULT)) == pytest.approx(expected, abs=5e-7)


def draw(seed: int, frames: int = 120) -> tuple[GroundTruth, np.ndarray]:
    """Boxes off any grid, so that no value is a tie; lost targets, absent ones and boxes at the border."""
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(1, 60, (frames, 4)) + [0, 0, 8, 8]
    infrared = boxes + rng.uniform(-4, 4, (frames, 4))
    result = boxes + rng.uniform(-9, 9, (frames, 4)) * rng.choice([0.2, 1, 4], (frames, 1))
    result[:, 2:] = np.maximum(result[:, 2:], 2)
    result[rng.random(frames) < 0.1] = np.nan
    return GroundTruth(boxes, infrared, rng.random(frames) < 0.15, size=(70, 60)), result


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", SLOW)
def test_same_as_a_slow_reading_of_the_rules(name, seed):
    truth, result = draw(seed)
    if name in ("otb", "pytracking", "uav", "lasot_all", "lasot"):
        truth.boxes[[7, 20]] = [[0, 5, 9, 9], [0, 0, 0, 0]]
    assert figures(name, (truth, result)) == pytest.approx(SLOW[name](truth, result), abs=1e-12)


def test_pooled_benchmarks_weigh_frames_and_others_videos():
    half = (GroundTruth(VISIBLE, INFRARED), VISIBLE + [900, 0, 0, 0])
    whole = GroundTruth(np.repeat(VISIBLE, 3, 0), np.repeat(INFRARED, 3, 0)), np.repeat(VISIBLE, 3, 0)
    assert figures("gtot", half, whole)["PR"] == pytest.approx(15 / 20)
    assert figures("rgbt234", half, whole)["MPR"] == pytest.approx(1 / 2)
    assert figures("got10k", half, whole)["SR50"] == pytest.approx(14 / 18)


def test_gtot_needs_less_than_five_pixels():
    truth = GroundTruth(VISIBLE[:1], VISIBLE[:1])
    assert figures("gtot", (truth, VISIBLE[:1] + [3, 4, 0, 0]))["PR"] == 0
    assert figures("gtot", (truth, VISIBLE[:1] + [3, 3.99, 0, 0]))["PR"] == 1


def test_rounded_rules_round_halves_up():
    truth = GroundTruth(VISIBLE[:1], VISIBLE[:1])
    result = VISIBLE[:1] + [4.6, 0, 0, 0]
    assert (figures("gtot", (truth, result))["PR"], figures("gtot_rounded", (truth, result))["PR"]) == (1, 0)


def test_both_treatments_of_absent_frames():
    truth = GroundTruth(np.repeat(VISIBLE[:1], 4, 0), absent=np.array([False, False, True, True]))
    result = np.repeat(VISIBLE[:1], 4, 0)
    assert figures("lasot", (truth, result))["PR"] == 1
    assert figures("lasot_all", (truth, result))["PR"] == figures("lasot_all", (truth, result))["NPR"] == 0.5
    assert figures("pytracking", (truth, result))["NPR"] == 1  # absent frames are hits of NPR there


def test_sparse_annotation_takes_its_own_frames():
    truth = GroundTruth(VISIBLE, INFRARED, annotated=np.arange(5) * 10)
    every = np.zeros((47, 4))
    every[::10] = RESULT
    expected = figures("rgbt234", (GroundTruth(VISIBLE, INFRARED), RESULT))
    for result in (every, every[:41], RESULT, np.concatenate([RESULT, RESULT[:1]])):
        assert figures("vtuav", (truth, result)) == expected
    assert figures("vtuav", (truth, every[:40]))["MPR"] == pytest.approx(0.8)
    with pytest.raises(ValueError, match="39 result rows for 41 frames"):
        figures("vtuav", (truth, every[:39]))


def test_missing_rows_fail_where_the_rules_allow_one():
    assert figures("rgbt234", (GroundTruth(VISIBLE), VISIBLE[:4]))["MPR"] == pytest.approx(0.8)
    for name, rows in (("rgbt234", 3), ("lasot", 4), ("got10k", 4)):
        with pytest.raises(ValueError, match=f"{rows} result rows for 5 annotated frames"):
            figures(name, (GroundTruth(VISIBLE), VISIBLE[:rows]))
    assert match_rows(GroundTruth(VISIBLE), np.concatenate([VISIBLE, VISIBLE])).shape == (5, 4)


def test_videos_without_a_frame_that_counts_are_refused():
    with pytest.raises(ValueError, match="video 0: no frame counts by the got10k rules"):
        figures("got10k", (GroundTruth(VISIBLE[:1]), VISIBLE[:1]))


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("lasher_test", "lasher"),
        ("LasHeR_unaligned_test", "lasher"),
        ("vtuav_lt", "vtuav"),
        ("lasot_extension_subset", "lasot"),
        ("got10k_val", "got10k"),
        ("uav20l", "uav"),
        ("nfs", "pytracking"),
        ("folder", "plain"),
        ("vot19rgbt", "plain"),
    ],
)
def test_rules_by_data_set(dataset, name):
    assert protocol_of(dataset).name == name


def test_rules_are_declared():
    assert set(RULES.values()) <= set(PROTOCOLS)
    for protocol in PROTOCOLS.values():
        names = [metric.name for metric in protocol.metrics]
        assert len(set(names)) == len(names) and all(np.all(np.diff(m.thresholds) > 0) for m in protocol.metrics)
