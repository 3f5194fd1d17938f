"""Bootstrap intervals and permutation tests: against theory, by enumeration, and on made-up boards."""

from itertools import product

import numpy as np
import pytest
from boards import board, entry

from lib.core.errors import InputError
from lib.test.analysis.leaderboard import average
from lib.test.analysis.significance import bootstrap, compare_with, holm, sign_flip_test
from lib.test.metrics import GTOT


def test_bootstrap_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(1).normal(0.5, 0.1, (400, 2)) * [1, 3]
    low, high = bootstrap(values, np.ones(400))
    half = 1.96 * values.std(0) / 20
    np.testing.assert_allclose(low, values.mean(0) - half, atol=0.05 * half.max())
    np.testing.assert_allclose(high, values.mean(0) + half, atol=0.05 * half.max())


def test_bootstrap_weighs_sequences():
    values = np.array([[0.0], [1.0]])
    low, high = bootstrap(np.repeat(values, 200, 0), np.repeat([1.0, 9.0], 200))
    assert 0.85 < low < 0.9 < high < 0.95


def test_small_permutation_test_agrees_with_all_permutations():
    differences = np.array([0.3, 0.1, -0.05, 0.2, 0.25, -0.1, 0.15])
    sums = np.array([np.dot(signs, differences) for signs in product((-1, 1), repeat=len(differences))])
    exact = np.mean(np.abs(sums) >= np.abs(differences.sum()) - 1e-12)
    assert sign_flip_test(differences[:, None])[0] == pytest.approx(exact, abs=0.01)


def test_alike_trackers_have_no_small_p_and_unlike_ones_the_smallest():
    generator = np.random.default_rng(2)
    none = sign_flip_test(generator.normal(0, 1, (50, 400)), samples=2000)
    assert np.mean(none < 0.05) == pytest.approx(0.05, abs=0.03)
    assert sign_flip_test(np.zeros((9, 1)))[0] == 1
    assert sign_flip_test(np.ones((60, 1)))[0] == pytest.approx(1 / 10001)


def test_same_numbers_every_time():
    values = np.random.default_rng(3).random((30, 3))
    np.testing.assert_array_equal(bootstrap(values, np.ones(30)), bootstrap(values, np.ones(30)))
    np.testing.assert_array_equal(sign_flip_test(values - 0.5), sign_flip_test(values - 0.5))


def test_holm_never_turns_the_order():
    p = np.random.default_rng(4).random(20) ** 3
    corrected = holm(p)
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all() and (corrected >= p).all() and corrected.max() <= 1
    assert corrected.min() == pytest.approx(20 * p.min())


def test_table_of_comparisons():
    generator = np.random.default_rng(5)
    base = generator.random(80) * 0.5
    good, same, bad = entry("good", base + 0.2), entry("same", base), entry("bad", base - generator.random(80) * 0.1)
    rows = compare_with(board(good, same, bad), same)["SR"]
    assert [row.name for row in rows] == ["good", "same", "bad"]
    assert rows[0].difference == pytest.approx(0.2) and rows[0].difference_interval == pytest.approx((0.2, 0.2))
    assert rows[0].p < 0.001 and rows[2].p < 0.001 and rows[1].p == 1
    assert (rows[0].wins, rows[0].losses, rows[0].sequences) == (80, 0, 80) and rows[2].losses == 80
    assert rows[1].interval[0] < base.mean() < rows[1].interval[1]


def test_incomplete_trackers_are_compared_where_both_are():
    whole = entry("whole", np.linspace(0, 1, 10))
    part = entry("part", np.linspace(0, 1, 10)[6:], first=6)
    rows = compare_with(board(whole, part), whole)["SR"]
    assert rows[1].sequences == 4 and rows[1].difference == 0 and rows[1].figure > rows[0].figure
    with pytest.raises(InputError, match="other and whole have no sequence in common"):
        compare_with(board(whole, entry("other", np.ones(3), first=50)), whole)


def test_pooled_sets_weigh_by_frames():
    frames = np.array([100, 10, 10])
    first = entry("first", np.array([0.9, 0.1, 0.1]), GTOT, frames)
    second = entry("second", np.array([0.8, 0.2, 0.2]), GTOT, frames)
    row = compare_with(board(first, second), second)["PR"][0]
    assert row.difference == pytest.approx((100 * 0.1 - 20 * 0.1) / 120)


def test_runs_are_averaged_on_what_all_have():
    runs = [entry("x", np.array([0.2, 0.4, 0.9])), entry("x", np.array([0.4, 0.6]))]
    mean = average("x", runs)
    assert mean.sequences == ("s0", "s1") and mean.missing == ("s2",) and len(mean.runs) == 2
    assert mean.scores.overall["SR"] == pytest.approx(0.4)
    assert mean.spread["SR"] == pytest.approx(np.std([0.3, 0.5], ddof=1))
    with pytest.raises(InputError, match="its 2 runs have no sequence in common"):
        average("x", [runs[0], entry("x", np.ones(2), first=7)])


def test_p_values_of_pooled_sets_weigh_sequences_by_their_frames():
    frames = np.array([40, 12, 10, 10, 9, 8, 6])
    gaps = np.array([-0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3])
    first, second = (entry(name, 0.5 + part, GTOT, frames) for name, part in (("first", gaps), ("second", 0 * gaps)))
    signs = np.array(list(product((-1, 1), repeat=len(gaps))))
    exact, equal = (np.mean(np.abs(signs @ part) >= abs(part.sum()) - 1e-12) for part in (gaps * frames, gaps))
    assert abs(exact - equal) > 0.3
    assert compare_with(board(first, second), second)["PR"][0].p == pytest.approx(exact, abs=0.02)
