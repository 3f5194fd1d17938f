"""Long-term tracking: targets leave and come back, so a tracker also reports a confidence and whether it sees the
target.

vot_lt   precision, recall and F of Lukezic et al., Now You See Me: Evaluating Performance in Long-Term Visual Tracking,
         arXiv 1804.07056, as VOT-LT ranks by it. At a confidence threshold t, the boxes with confidence >= t count:
             Pr(t): mean overlap over the frames with such a box     Re(t): mean overlap over the frames with a target
         Both are averaged over videos; F = 2 Pr Re / (Pr + Re) at the threshold where it is highest.
oxuva    true positive and true negative rate of Valmadre et al., Long-term Tracking in the Wild, ECCV 2018: targets
         found with an overlap of at least 0.5, absent targets reported absent, over all frames of the set; GM, their
         geometric mean; MaxGM, the highest GM when a random share of the boxes is withdrawn, for a fair comparison with
         trackers that always report a box.

Overlap is 0 where the target is absent or the tracker gives no box. The first frame does not count, since its box is
given. Results are [T, 6]: boxes, confidence, and 1 where the target is reported; in [T, 4] every box is certain.
"""

from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np

from .measure import clip_to_image, overlap
from .protocol import GroundTruth, Metric, Protocol, Scores

VOT_LT_PAPER = "Lukezic et al., Now You See Me: Evaluating Performance in Long-Term Visual Tracking, 2018, and VOT-LT"
OXUVA_PAPER = "Valmadre et al., Long-term Tracking in the Wild: A Benchmark, ECCV 2018"
FOUND = 0.5  # overlap from which a target is found by OxUvA's rules
POINTS = 100  # thresholds of a curve, besides the best one


class Outcomes(NamedTuple):
    """The outcome of each of the F frames of one video that count."""

    overlap: np.ndarray  # [F] in [0, 1]; 0 without a target or without a box
    confidence: np.ndarray  # [F]; -inf without a box
    reported: np.ndarray  # [F] bool: there is a box, and the tracker reports the target
    present: np.ndarray  # [F] bool


@dataclass(frozen=True, eq=False)
class LongTermScores(Scores):
    """Scores that are not means over videos. In every curves[p] [S, K] the quoted value is at index 0."""

    videos: tuple[Outcomes, ...] = ()

    @property
    def confidences(self) -> dict[str, np.ndarray]:
        """The confidences of all boxes by the place of the box: on the target, elsewhere, no target -> [N]."""
        whole = Outcomes(*map(np.concatenate, zip(*self.videos, strict=True)))
        boxed, found = np.isfinite(whole.confidence), whole.overlap >= FOUND
        states = {
            "on the target": boxed & whole.present & found,
            "elsewhere": boxed & whole.present & ~found,
            "no target": boxed & ~whole.present,
        }
        return {state: whole.confidence[frames] for state, frames in states.items()}

    @property
    def overall(self) -> dict[str, float]:
        """Metric name -> score in [0, 1]; NaN for a rate for which the set has no frames."""
        parts = (curve[:, 0].mean(0) for curve in self.curves)
        return {name: float(value) for name, value in self._combine(*parts).items()}

    @property
    def per_sequence(self) -> dict[str, np.ndarray]:
        """Metric name -> [S] scores in [0, 1], at the threshold of the set; NaN as in `overall`."""
        return self._combine(*(curve[:, 0] for curve in self.curves))

    def _combine(self, *parts: np.ndarray) -> dict[str, np.ndarray]:
        assert isinstance(self.protocol, LongTermProtocol)
        return self.protocol.combine(*parts)


@dataclass(frozen=True, eq=False)
class LongTermProtocol(Protocol):
    """A protocol that reads confidences."""

    _: KW_ONLY
    parts: Callable[[Many[Outcomes]], tuple[np.ndarray, ...]]  # each [S, K], the quoted value first
    combine: Callable[..., dict[str, np.ndarray]]  # the parts, each [...] -> metric name -> [...]
    confident: bool = True
    additive: bool = False

    def scores(self, videos: Many[Outcomes]) -> Scores:
        """The scores of one tracker from the outcomes of its videos."""
        frames = np.array([len(video.overlap) for video in videos])
        return LongTermScores(self, self.parts(videos), frames, tuple(videos))


def precision_and_recall(videos: Many[Outcomes]) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of each video, both [S, 1 + POINTS]: first at the threshold with the best F, then at falling
    thresholds that each add the same number of boxes. Raises ValueError for a video without a target."""
    for index, video in enumerate(videos):
        if not video.present.any():
            raise ValueError(f"video {index}: no target after the first frame; recall is undefined")
    ranked = [_RankedBoxes.of(video) for video in videos]
    known = -np.sort(-np.concatenate([video.confidence for video in videos]))
    known = known[np.isfinite(known)] if np.isfinite(known).any() else np.array([np.inf])
    every = -np.unique(-known)
    pairs = np.zeros((2, len(every)))
    for boxes in ranked:  # one video at a time: thresholds x videos values would not fit in memory
        pairs += boxes.at(every)
    best = every[harmonic_mean(*pairs).argmax()]
    shares = np.linspace(0, len(known) - 1, POINTS).round().astype(int)
    thresholds = np.concatenate([[best], known[shares]])
    precision, recall = np.stack([boxes.at(thresholds) for boxes in ranked], 1)
    return precision, recall


def harmonic_mean(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """2 a b / (a + b), and 0 where both are 0: [...], [...] -> [...].

    >>> harmonic_mean(np.array([0.5, 0.0]), np.array([1.0, 0.0])).round(3).tolist()
    [0.667, 0.0]
    """
    total = first + second
    return np.divide(2 * first * second, total, out=np.zeros_like(total, np.float64), where=total > 0)


def maximum_geometric_mean(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """TPR [...], TNR [...] -> MaxGM [...]: the maximum over q in [0, 1] of sqrt(q TPR (q TNR + 1 - q)), where a box is
    kept with probability q. NaN where a rate is NaN.

    >>> maximum_geometric_mean(np.array([0.64, 0.5]), np.array([0.0, 0.5])).round(3).tolist()
    [0.4, 0.5]
    """
    kept = np.minimum(1, 0.5 / np.maximum(1 - negative, 0.5))
    return np.sqrt(kept * positive * (kept * negative + 1 - kept))


class _RankedBoxes(NamedTuple):
    """The boxes of one video, the most confident first."""

    confidence: np.ndarray  # [A] negated, so ascending
    gained: np.ndarray  # [A + 1] sum of the overlaps of the first 0, 1, … boxes
    present: int  # frames with a target

    @classmethod
    def of(cls, video: Outcomes) -> "_RankedBoxes":
        order = np.argsort(-video.confidence, kind="stable")[: np.isfinite(video.confidence).sum()]
        gained = np.concatenate([[0.0], np.cumsum(video.overlap[order])])
        return cls(-video.confidence[order], gained, int(video.present.sum()))

    def at(self, thresholds: np.ndarray) -> np.ndarray:
        """Precision and recall at thresholds [K]: [2, K]. Precision is 1 where no box is left."""
        count = np.searchsorted(self.confidence, -thresholds, side="right")
        gained = self.gained[count]
        return np.stack([np.where(count, gained / np.maximum(count, 1), 1.0), gained / self.present])


def _count_found(videos: Many[Outcomes]) -> tuple[np.ndarray, ...]:
    """Numbers of frames, each [S, 1]: target found, target present, absence reported, target absent."""
    found = [(video.present & video.reported & (video.overlap >= FOUND)).sum() for video in videos]
    rejected = [(~video.present & ~video.reported).sum() for video in videos]
    present = [video.present.sum() for video in videos]
    absent = [(~video.present).sum() for video in videos]
    return tuple(np.array(counts, np.float64)[:, None] for counts in (found, present, rejected, absent))


def _f_score(precision: np.ndarray, recall: np.ndarray) -> dict[str, np.ndarray]:
    return {"F": harmonic_mean(precision, recall), "Pr": precision, "Re": recall}


def _rates(found: np.ndarray, present: np.ndarray, rejected: np.ndarray, absent: np.ndarray) -> dict[str, np.ndarray]:
    with np.errstate(divide="ignore", invalid="ignore"):
        positive, negative = np.divide(found, present), np.divide(rejected, absent)
    return {
        "MaxGM": maximum_geometric_mean(positive, negative),
        "GM": np.sqrt(positive * negative),
        "TPR": positive,
        "TNR": negative,
    }


def _outcomes(truth: GroundTruth, result: np.ndarray) -> Outcomes:
    """The outcomes of all frames but the first; of two annotations the better one counts. result: [T, 6] or [T, 4]."""
    if result.shape[1] == 4:
        result = np.concatenate([result, np.ones((len(result), 2))], axis=1)
    annotations = [truth.boxes] if truth.boxes_infrared is None else [truth.boxes, truth.boxes_infrared]
    shown = np.ones(len(truth.boxes), bool) if truth.absent is None else ~truth.absent
    shared, present = np.zeros(len(result)), np.zeros(len(result), bool)
    for boxes in annotations:
        there = shown & np.isfinite(boxes).all(1) & (boxes[:, 2:] > 0).all(1)
        shared = np.fmax(shared, np.where(there, _bounded_overlap(boxes, result[:, :4], truth.size), 0))
        present |= there
    answered = np.isfinite(result[:, :5]).all(1) & (result[:, 2:4] > 0).all(1)
    outcomes = Outcomes(
        np.where(answered, shared, 0),
        np.where(answered, result[:, 4], -np.inf),
        answered & (result[:, 5] > 0),
        present,
    )
    return Outcomes(*(values[1:] for values in outcomes))


def _bounded_overlap(boxes: np.ndarray, result: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Overlap [T], of the parts inside the image where its size is known, as in VOT's toolkit."""
    if size is not None:
        boxes, result = clip_to_image(boxes, size), clip_to_image(result, size)
    return overlap(boxes.astype(np.float64), result)


def _figure(name: str, title: str, source: str) -> Metric:
    return Metric(name, title, "none", np.zeros(1), 0, source)


VOT_LT = LongTermProtocol(
    "vot_lt",
    (
        _figure("F", "F-score: of precision and recall at the best confidence threshold", VOT_LT_PAPER),
        _figure("Pr", "precision: mean overlap over the frames with a box", VOT_LT_PAPER),
        _figure("Re", "recall: mean overlap over the frames with a target", VOT_LT_PAPER),
    ),
    _outcomes,
    parts=precision_and_recall,
    combine=_f_score,
)
OXUVA = LongTermProtocol(
    "oxuva",
    (
        _figure("MaxGM", "maximum geometric mean: with the best share of boxes withdrawn", OXUVA_PAPER),
        _figure("GM", "geometric mean of both rates", OXUVA_PAPER),
        _figure("TPR", "true positive rate: targets found with an overlap of at least 0.5", OXUVA_PAPER),
        _figure("TNR", "true negative rate: absent targets reported absent", OXUVA_PAPER),
    ),
    _outcomes,
    parts=_count_found,
    combine=_rates,
)
