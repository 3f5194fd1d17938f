"""Is a tracker better, or only lucky with the chosen sequences? Paired statistics over sequences.

Sequences are the samples. The frames of one video depend on each other: with frames as samples, every difference would
look significant.

interval   percentile bootstrap (Efron & Tibshirani, An Introduction to the Bootstrap, 1993): the sequences are drawn
           with replacement, with the same draws for all trackers.
p value    sign-flip permutation test of the mean difference (Fisher, The Design of Experiments, 1935): were the two
           trackers equal, the sign of their difference on each sequence would be random. The test assumes nothing about
           the distribution, which has peaks at 0 and 1, and it tests the difference in the table, whereas Wilcoxon's
           test is about ranks.
Holm       (1979) corrects the p values for the number of trackers that are compared with the reference.
"""

from collections.abc import Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ..metrics import Scores
from .leaderboard import Leaderboard, LeaderboardEntry, scores_on, shared_sequences

SAMPLES = 10_000
CHUNK = 1_000  # samples at a time: limits the memory to CHUNK x sequences numbers
SEED = 0
LEVEL = 0.95


@dataclass(frozen=True)
class Comparison:
    """A tracker compared with the reference in one metric; scores and differences in [0, 1]."""

    name: str
    figure: float
    interval: tuple[float, float]  # of the score
    difference: float  # to the reference's score; 0 for the reference itself
    difference_interval: tuple[float, float]
    p: float  # two-sided, Holm-corrected; 1 for the reference itself
    wins: int  # sequences on which the tracker is better than the reference
    losses: int
    sequences: int  # that both trackers were scored on


def compare_with(board: Leaderboard, reference: LeaderboardEntry) -> dict[str, list[Comparison]]:
    """Metric name -> comparisons of all trackers with the reference, in the order of the leaderboard.

    Raises InputError when a tracker and the reference have no sequence in common.
    """
    metrics = [metric.name for metric in board.protocol.metrics]
    pairs = [_on_shared(entry, reference) for entry in board.entries]
    own = _intervals([entry.scores for entry in board.entries], [_figures(entry.scores) for entry in board.entries])
    gaps = [_figures(scores) - _figures(other) for scores, other in pairs]
    apart = _intervals([scores for scores, _ in pairs], gaps)
    tests = np.array(
        [sign_flip_test(gap * _weights(scores)[:, None]) for gap, (scores, _) in zip(gaps, pairs, strict=True)]
    )
    others = [index for index, entry in enumerate(board.entries) if entry is not reference]
    tables: dict[str, list[Comparison]] = {}
    for column, metric in enumerate(metrics):
        tests[others, column] = holm(tests[others, column])
        tables[metric] = [
            Comparison(
                entry.name,
                entry.scores.overall[metric],
                _pair(own[index][:, column]),
                scores.overall[metric] - other.overall[metric],
                _pair(apart[index][:, column]),
                float(tests[index, column]),
                int((gaps[index][:, column] > 0).sum()),
                int((gaps[index][:, column] < 0).sum()),
                len(gaps[index]),
            )
            for index, (entry, (scores, other)) in enumerate(zip(board.entries, pairs, strict=True))
        ]
    return tables


def bootstrap(values: np.ndarray, weights: np.ndarray, samples: int = SAMPLES, seed: int = SEED) -> np.ndarray:
    """Values [S, K] and weights [S] of S sequences -> [2, K] bounds of the 95 % interval of each weighted mean."""
    means = [
        counts @ (values * weights[:, None]) / (counts @ weights)[:, None]
        for counts in _draws(len(values), samples, seed)
    ]
    return np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)


def sign_flip_test(differences: np.ndarray, samples: int = SAMPLES, seed: int = SEED) -> np.ndarray:
    """Differences per sequence [S, K], multiplied by weights -> [K] two-sided p values of their mean.

    The smallest p is 1 / (samples + 1): the observed signs count as one of the permutations.
    """
    observed = np.abs(differences.sum(0))
    generator = np.random.default_rng(seed)
    extreme = np.zeros(differences.shape[1])
    for start in range(0, samples, CHUNK):
        signs = generator.integers(0, 2, (min(CHUNK, samples - start), len(differences)), np.int8) * 2.0 - 1
        extreme += (np.abs(signs @ differences) >= observed * (1 - 1e-12)).sum(0)
    return (extreme + 1) / (samples + 1)


def holm(p: np.ndarray) -> np.ndarray:
    """p values [N] -> [N], corrected for N tests.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def _on_shared(entry: LeaderboardEntry, reference: LeaderboardEntry) -> tuple[Scores, Scores]:
    """The scores of both trackers on the sequences that both have."""
    shared = shared_sequences([entry, reference])
    if not shared:
        raise InputError(f"{entry.name} and {reference.name} have no sequence in common; nothing to compare")
    return scores_on(entry, shared), scores_on(reference, shared)


def _intervals(scores: Many[Scores], values: Many[np.ndarray]) -> list[np.ndarray]:
    """Values [S, K] of each tracker -> its bounds [2, K]. Trackers with the same number of sequences share the
    draws."""
    groups: dict[bytes, list[int]] = {}
    for index, item in enumerate(scores):
        groups.setdefault(_weights(item).tobytes(), []).append(index)
    bounds: dict[int, np.ndarray] = {}
    for members in groups.values():
        both = bootstrap(np.concatenate([values[index] for index in members], 1), _weights(scores[members[0]]))
        bounds |= zip(members, np.split(both, len(members), 1), strict=True)
    return [bounds[index] for index in range(len(scores))]


def _figures(scores: Scores) -> np.ndarray:
    """The scores of all metrics per sequence: [S, K]."""
    return np.stack(list(scores.per_sequence.values()), 1)


def _pair(bounds: np.ndarray) -> tuple[float, float]:
    return float(bounds[0]), float(bounds[1])


def _weights(scores: Scores) -> np.ndarray:
    return scores.frames.astype(np.float64) if scores.protocol.pooled else np.ones(len(scores.frames))


def _draws(sequences: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each sequence occurs in each sample: [<= CHUNK, S] float64."""
    generator = np.random.default_rng(seed)
    for start in range(0, samples, CHUNK):
        rows = min(CHUNK, samples - start)
        drawn = generator.integers(0, sequences, (rows, sequences)) + np.arange(rows)[:, None] * sequences
        yield np.bincount(drawn.ravel(), minlength=rows * sequences).reshape(rows, sequences).astype(np.float64)
