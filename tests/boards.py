"""Made-up scores: trackers with given figures, for the tests of tables, statistics and plots."""

import numpy as np

from lib.test.analysis.leaderboard import Leaderboard, LeaderboardEntry, ScoredSequence
from lib.test.metrics import LASHER, GroundTruth, Protocol, Scores


def entry(
    name: str, figures: np.ndarray, protocol: Protocol = LASHER, frames: np.ndarray | None = None, first: int = 0
) -> LeaderboardEntry:
    """A tracker whose curves are flat: every metric of sequence s is figures[s]. Sequences are called s<first>, …"""
    curves = tuple(np.repeat(figures[:, None], len(metric.thresholds), 1) for metric in protocol.metrics)
    frames = np.full(len(figures), 10) if frames is None else frames
    names = tuple(f"s{first + index}" for index in range(len(figures)))
    return LeaderboardEntry(name, names, Scores(protocol, curves, frames), None)


def board(*entries: LeaderboardEntry, attributes: tuple[str, ...] = ()) -> Leaderboard:
    """The k-th attribute belongs to the sequences from the k-th on."""
    videos = tuple(
        ScoredSequence(name, GroundTruth(np.ones((2, 4))), frozenset(attributes[: index + 1]))
        for index, name in enumerate(entries[0].sequences)
    )
    return Leaderboard("set", entries[0].scores.protocol, videos, entries)
