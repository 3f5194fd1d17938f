"""A benchmark's protocol: its metrics, its rule for one video, and an average over videos or frames."""

from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ...core.rounding import round_half_away
from .measure import Errors, share_above


class GroundTruth(NamedTuple):
    """The annotation of one video; T = annotated frames."""

    boxes: np.ndarray  # [T, 4]
    boxes_infrared: np.ndarray | None = None  # [T, 4], where both streams are annotated
    absent: np.ndarray | None = None  # [T] bool, where the data set has such flags
    annotated: np.ndarray | None = None  # [T] int, frame of each row; None: row k belongs to frame k
    size: tuple[int, int] | None = None  # (width, height) in pixels, where the data set states it

    @property
    def first_boxes(self) -> list[np.ndarray]:
        """The first annotated box of each stream that has its own annotation, [4]."""
        return [boxes[0] for boxes in (self.boxes, self.boxes_infrared) if boxes is not None and len(boxes)]


@dataclass(frozen=True, eq=False)
class Metric:
    """One score: a curve over thresholds, and how it becomes a number."""

    name: str
    title: str
    unit: str  # of the thresholds
    thresholds: np.ndarray  # [K]
    position: int | None  # index of the quoted threshold; None: average over all thresholds
    source: str
    higher_is_better: bool = True
    measure: str = "overlap"  # field of Errors
    share: Callable[[np.ndarray, np.ndarray], np.ndarray] = share_above  # errors [F], thresholds [K] -> curve [K]
    area: bool = False  # average as the area under the curve (trapezoids) instead of the mean

    def curve(self, errors: Errors) -> np.ndarray:
        """The curve of one video: [K]."""
        return self.share(getattr(errors, self.measure), self.thresholds)

    def figure(self, curves: np.ndarray) -> np.ndarray:
        """The quoted score of each curve, in [0, 1]: [..., K] -> [...]."""
        if self.position is not None:
            return curves[..., self.position]
        if not self.area:
            return curves.mean(-1)
        steps = np.diff(self.thresholds)
        return ((curves[..., 1:] + curves[..., :-1]) / 2 * steps).sum(-1) / steps.sum()


@dataclass(frozen=True, eq=False)
class Protocol:
    """The metrics of one benchmark and its rule for one video."""

    name: str
    metrics: tuple[Metric, ...]
    errors: Callable[
        [GroundTruth, np.ndarray], Any
    ]  # ground truth, result -> errors of the frames that count; boxes are float64, one row per annotated frame
    pooled: bool = False  # average over all frames that count instead of over videos
    missing: int = 0  # number of rows that may be missing at the end of a result: these frames are failures
    confident: bool = False  # results need a confidence for each box
    additive: bool = True  # whether the scores of a set are averages over its videos

    def scores(self, videos: Many[Any]) -> "Scores":
        """The scores of one tracker from the errors of its videos."""
        curves = [[metric.curve(errors) for errors in videos] for metric in self.metrics]
        return Scores(self, tuple(map(np.array, curves)), np.array([len(errors.overlap) for errors in videos]))


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of one tracker on S videos."""

    protocol: Protocol
    curves: tuple[np.ndarray, ...]  # [S, K] per metric
    frames: np.ndarray  # [S] frames that count

    @property
    def mean_curves(self) -> tuple[np.ndarray, ...]:
        """The average curve of each metric, [K]: over videos, or over frames for a pooled protocol."""
        weights = self.frames if self.protocol.pooled else None
        return tuple(np.average(curves, axis=0, weights=weights) for curves in self.curves)

    @property
    def overall(self) -> dict[str, float]:
        """Metric name -> score in [0, 1]."""
        pairs = zip(self.protocol.metrics, self.mean_curves, strict=True)
        return {metric.name: float(metric.figure(curve)) for metric, curve in pairs}

    @property
    def per_sequence(self) -> dict[str, np.ndarray]:
        """Metric name -> [S] scores in [0, 1]."""
        pairs = zip(self.protocol.metrics, self.curves, strict=True)
        return {metric.name: metric.figure(curves) for metric, curves in pairs}


def score(protocol: Protocol, truths: Many[GroundTruth], results: Many[np.ndarray]) -> Scores:
    """Score one tracker: results[s] is [>= T_s, 4], or one row per frame where only some frames are annotated;
    [>= T_s, 6] with confidence and report (1: there is a target) for protocols that read them.

    Raises ValueError when there are no videos, when a result is shorter than the protocol allows and when no frame of a
    video counts.
    """
    if not truths:
        raise ValueError("no videos to score")
    videos = []
    for index, (truth, result) in enumerate(zip(truths, results, strict=True)):
        try:
            boxes = match_rows(truth, result, missing=protocol.missing)
        except ValueError as error:
            raise ValueError(f"video {index}: {error}") from None
        errors = protocol.errors(truth._replace(boxes=truth.boxes.astype(np.float64)), boxes)
        if not len(errors.overlap):
            raise ValueError(f"video {index}: no frame counts by the {protocol.name} rules")
        videos.append(errors)
    return protocol.scores(videos)


def match_rows(truth: GroundTruth, result: np.ndarray, missing: int = 0) -> np.ndarray:
    """The rows of a result [.., C] that belong to the T annotated frames: [T, C] float64.

    Rows after the last annotated frame are ignored. Up to `missing` rows may be absent at the end; they become NaN,
    which is a failure in every measure. Where only some frames are annotated (VTUAV), a result has a row for every
    frame or for every annotated frame. Raises ValueError for fewer rows.
    """
    result = result.astype(np.float64)
    needed, what, rows = len(truth.boxes), "annotated frames", np.arange(len(truth.boxes))
    if truth.annotated is not None and len(result) > needed + 1:
        needed, what, rows = int(truth.annotated[-1]) + 1, "frames", truth.annotated
    lack = needed - len(result)
    if lack > missing:
        raise ValueError(f"{len(result)} result rows for {needed} {what}")
    if lack > 0:
        result = np.concatenate([result, np.full((lack, result.shape[1]), np.nan)])
    return result[rows]


def rounded(protocol: Protocol, name: str) -> Protocol:
    """The same rules on results rounded to whole pixels."""
    return replace(protocol, name=name, errors=lambda truth, result: protocol.errors(truth, round_half_away(result)))
