"""Benchmark figures from arrays of boxes: one protocol per benchmark, each a table of metrics and a rule for one video.

Boxes are [T, 4] float64 `xywh` pixels. Float64 matters: in float32, ties at the thresholds move SR by 3e-5.
A set is added by one function that gives the curves of one video and one `Protocol` in the table at the end.
"""

from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LASHER_KIT = "LasHeR evaluation kit, Li et al., LasHeR: A Large-scale High-diversity Benchmark, TIP 2022"
LASOT_PAPER = "Fan et al., LaSOT, CVPR 2019; Wu et al., Online Object Tracking, CVPR 2013"


class Truth(NamedTuple):
    """What is known about one video of T frames."""

    boxes: np.ndarray  # [T, 4]
    boxes_infrared: np.ndarray | None = None  # [T, 4], where both streams are annotated
    absent: np.ndarray | None = None  # [T] bool, where the set flags it


@dataclass(frozen=True, eq=False)
class Metric:
    """One figure: a curve over thresholds and the way it becomes a number."""

    name: str
    title: str
    unit: str  # of the thresholds
    thresholds: np.ndarray  # [K]
    position: int | None  # index of the quoted threshold; None: mean over all of them
    source: str
    higher_is_better: bool = True

    def figure(self, curves: np.ndarray) -> np.ndarray:
        """[..., K] -> [...]: the quoted number of each curve, in [0, 1]."""
        return curves.mean(-1) if self.position is None else curves[..., self.position]


@dataclass(frozen=True, eq=False)
class Protocol:
    """The metrics of one benchmark and its rule for one video."""

    name: str
    metrics: tuple[Metric, ...]
    curves: Callable[[Truth, np.ndarray], tuple[np.ndarray, ...]]  # one curve per metric
    pooled: bool = False  # average over all frames instead of over videos


@dataclass(frozen=True, eq=False)
class Scores:
    """The figures of one tracker on S videos."""

    protocol: Protocol
    curves: tuple[np.ndarray, ...]  # [S, K] per metric
    frames: np.ndarray  # [S]

    @property
    def mean_curves(self) -> tuple[np.ndarray, ...]:
        """[K] per metric: the average over videos, or over frames where the protocol pools them."""
        weights = self.frames if self.protocol.pooled else None
        return tuple(np.average(curves, axis=0, weights=weights) for curves in self.curves)

    @property
    def overall(self) -> dict[str, float]:
        """Metric name -> figure in [0, 1]."""
        pairs = zip(self.protocol.metrics, self.mean_curves, strict=True)
        return {metric.name: float(metric.figure(curve)) for metric, curve in pairs}

    @property
    def per_sequence(self) -> dict[str, np.ndarray]:
        """Metric name -> [S] figures in [0, 1]."""
        pairs = zip(self.protocol.metrics, self.curves, strict=True)
        return {metric.name: metric.figure(curves) for metric, curves in pairs}


def score(protocol: Protocol, truths: Many[Truth], results: Many[np.ndarray]) -> Scores:
    """Score one tracker: results[s] is [>= T_s, 4], surplus rows are ignored.

    Raises ValueError for no videos and for a result shorter than its annotation.
    """
    if not truths:
        raise ValueError("no videos to score")
    rows = []
    for index, (truth, result) in enumerate(zip(truths, results, strict=True)):
        boxes = truth.boxes.astype(np.float64)
        if len(result) < len(boxes):
            raise ValueError(f"video {index}: {len(result)} result rows for {len(boxes)} annotated frames")
        rows.append(protocol.curves(truth._replace(boxes=boxes), result[: len(boxes)].astype(np.float64)))
    frames = np.array([len(truth.boxes) for truth in truths])
    return Scores(protocol, tuple(np.array(curves) for curves in zip(*rows, strict=True)), frames)


def center_error(truth: np.ndarray, result: np.ndarray) -> np.ndarray:
    """[T, 4], [T, 4] -> [T] distance of the centres in pixels."""
    return np.hypot(*(_center(result) - _center(truth)).T)


def normalized_error(truth: np.ndarray, result: np.ndarray) -> np.ndarray:
    """[T, 4], [T, 4] -> [T] distance of the centres in units of the true width and height.

    Both centres are divided before they are subtracted, as in LasHeR's kit: the last bit decides ties.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.hypot(*(_center(result) / truth[:, 2:] - _center(truth) / truth[:, 2:]).T)


def overlap(truth: np.ndarray, result: np.ndarray) -> np.ndarray:
    """[T, 4], [T, 4] -> [T] intersection over union (the kits' -1 and +1 of inclusive pixels cancel)."""
    corner = np.minimum(truth[:, :2] + truth[:, 2:], result[:, :2] + result[:, 2:])
    shared = np.maximum(0, corner - np.maximum(truth[:, :2], result[:, :2])).prod(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return shared / (truth[:, 2:].prod(-1) + result[:, 2:].prod(-1) - shared)


def share_within(errors: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """[T], [K] -> [K] share of frames whose error is at most the threshold (NaN never is)."""
    return (errors[:, None] <= thresholds).mean(0)


def share_above(overlaps: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """[T], [K] -> [K] share of frames whose overlap exceeds the threshold (NaN never does)."""
    return (overlaps[:, None] > thresholds).mean(0)


def matlab_range(step: float, stop: float) -> np.ndarray:
    """MATLAB's `0:step:stop`, to the last bit: counted from 0 up to the middle and back from `stop` above it."""
    count = round(stop / step)
    index = np.arange(count + 1)
    return np.where(index <= count // 2, index * step, stop - (count - index) * step)


def _center(boxes: np.ndarray) -> np.ndarray:
    """[T, 2] centres as the kits write them, first to last pixel: the last bit of x + w / 2 moves NPR by up to 6e-5."""
    return boxes[:, :2] + (boxes[:, 2:] - 1) / 2


def _repair(result: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Rows from the second on with NaN or without area repeat the row before; the first row is the given box."""
    broken = np.isnan(result).any(1) | (result[:, 2:] <= 0).any(1)
    broken[:1] = False
    last = np.maximum.accumulate(np.where(broken, 0, np.arange(len(result))))
    return np.concatenate([first[None], result[last][1:]])


def _lasher_curves(truth: Truth, result: np.ndarray) -> tuple[np.ndarray, ...]:
    """A frame is annotated when all four true numbers are above 0; any other counts as a hit of both precisions
    and as a failure of success. Objects that touch the left or upper border are among them: published numbers
    contain this."""
    result = _repair(result, truth.boxes[0])
    annotated = (truth.boxes > 0).all(1)
    return (
        share_within(np.where(annotated, center_error(truth.boxes, result), -1), _PIXELS),
        share_within(np.where(annotated, normalized_error(truth.boxes, result), -1), _SIZES),
        share_above(np.where(annotated, overlap(truth.boxes, result), -1), _OVERLAPS),
    )


def _plain_curves(truth: Truth, result: np.ndarray) -> tuple[np.ndarray, ...]:
    """Frames where the target is absent are left out. Of two annotations the better one counts, as in RGBT234."""
    boxes = [truth.boxes] if truth.boxes_infrared is None else [truth.boxes, truth.boxes_infrared]
    present = np.array([np.isfinite(box).all(1) & (box[:, 2:] > 0).all(1) for box in boxes])
    used = present.any(0) if truth.absent is None else present.any(0) & ~truth.absent

    def best(measure: Callable, nothing: float, choose: Callable) -> np.ndarray:
        values = [np.where(here, measure(box, result), nothing) for box, here in zip(boxes, present, strict=True)]
        return choose(values, axis=0)[used]

    return (
        share_within(best(center_error, np.inf, np.fmin.reduce), _PIXELS),
        share_within(best(normalized_error, np.inf, np.fmin.reduce), _SIZES),
        share_above(best(overlap, 0, np.fmax.reduce), _OVERLAPS),
    )


_PIXELS, _SIZES, _OVERLAPS = matlab_range(1, 50), matlab_range(0.01, 0.5), matlab_range(0.05, 1)


def _precision_and_success(source: str) -> tuple[Metric, ...]:
    return (
        Metric("PR", "precision: centre error at most 20 px", "px", _PIXELS, 20, source),
        Metric(
            "NPR", "normalised precision: centre error at most 0.2 target sizes", "target sizes", _SIZES, 20, source
        ),
        Metric("SR", "success: mean share of frames over 21 overlap thresholds", "IoU", _OVERLAPS, None, source),
    )


LASHER = Protocol("lasher", _precision_and_success(LASHER_KIT), _lasher_curves)
PLAIN = Protocol("plain", _precision_and_success(LASOT_PAPER), _plain_curves)
PROTOCOLS = {protocol.name: protocol for protocol in (LASHER, PLAIN)}
