"""How a tracker behaves when its target disappears: its scores meanwhile, and whether it finds the target again."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ..metrics.measure import overlap

FOLLOWED = 0.5  # overlap from which a target counts as followed
LEAST_AWAY = 5  # frames of the shortest absence that counts
BEFORE = 10  # frames before an absence that are compared: a target must be followed there to be lost
WITHIN = 30  # frames after an absence in which the target should be found again
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class TrackedSequence(NamedTuple):
    """The ground truth of one sequence with a tracker's result. T frames."""

    truth: np.ndarray  # [T, 4] xywh pixels; without area where the target is absent
    boxes: np.ndarray  # [T, 4]
    scores: np.ndarray  # [T]

    @property
    def present(self) -> np.ndarray:
        """[T] bool: whether the target is in the frame."""
        return np.min(self.truth[:, 2:], axis=1) > 0

    @property
    def overlaps(self) -> np.ndarray:
        """[T] overlap with the ground truth, 0 where the target is absent."""
        return np.where(self.present, overlap(self.truth, self.boxes), 0.0)


class Return(NamedTuple):
    """An absence of the target after which it came back."""

    followed: bool  # before the absence
    found: bool  # after the absence
    before: float  # mean overlap in the BEFORE frames before the absence
    after: float  # mean overlap in the WITHIN frames after it


def find_returns(track: TrackedSequence) -> list[Return]:
    """All absences of at least LEAST_AWAY frames after which the target came back."""
    edges = np.flatnonzero(np.diff(np.concatenate([[1], track.present.astype(int), [0]])))
    overlaps, returns = track.overlaps, []
    for first, back in zip(edges[::2], edges[1::2], strict=False):
        if back - first < LEAST_AWAY or back >= len(overlaps) or first == 0:
            continue
        before, after = overlaps[max(0, first - BEFORE) : first], overlaps[back : back + WITHIN]
        found = bool((after >= FOLLOWED).any())
        returns.append(Return(bool((before >= FOLLOWED).any()), found, float(before.mean()), float(after.mean())))
    return returns


def score_quantiles(tracks: Iterable[TrackedSequence]) -> dict[str, np.ndarray]:
    """QUANTILES of the scores by state of the target: followed, missed (present, but the box is elsewhere), absent."""
    groups: dict[str, list[np.ndarray]] = {"followed": [], "missed": [], "absent": []}
    for track in tracks:
        on = track.overlaps >= FOLLOWED
        for name, frames in (("followed", on), ("missed", track.present & ~on), ("absent", ~track.present)):
            groups[name].append(track.scores[1:][frames[1:]])  # the first score is the user's
    joined = {name: np.concatenate(parts) for name, parts in groups.items()}
    return {name: np.quantile(scores, QUANTILES) for name, scores in joined.items() if len(scores)}
