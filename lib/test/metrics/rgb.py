"""The protocols of RGB benchmarks, and a plain protocol for any folder of sequences."""

from dataclasses import replace

import numpy as np

from .measure import Errors, average, clip_to_image, compare, compare_best, overlap, repair
from .protocol import GroundTruth, Metric, Protocol
from .rgbt import kit_errors, precision_and_success

OTB_PAPER = "Wu et al., Online Object Tracking: A Benchmark, CVPR 2013, and its kit; NPR as in LaSOT's kit"
LASOT_PAPER = "Fan et al., LaSOT: A High-quality Benchmark for Large-scale Single Object Tracking, CVPR 2019"
PYTRACKING_SOURCE = "rules of the PyTracking analysis, which OSTrack and its descendants report with"
GOT10K_PAPER = "Huang et al., GOT-10k: A Large High-Diversity Benchmark, TPAMI 2021, and the got10k toolkit"
PLAIN_SOURCE = "Wu et al., Online Object Tracking, CVPR 2013; Fan et al., LaSOT, CVPR 2019"


def _has_area(boxes: np.ndarray) -> np.ndarray:
    return np.isfinite(boxes).all(1) & (boxes[:, 2:] > 0).all(1)


def _shown(truth: GroundTruth) -> np.ndarray:
    """Whether the target is not flagged as absent: [T] bool; all True where the set has no flags."""
    return np.ones(len(truth.boxes), bool) if truth.absent is None else ~truth.absent


def _plain_errors(truth: GroundTruth, result: np.ndarray) -> Errors:
    """Frames where the target is absent are left out. Of two annotations the better one counts, as in RGBT234."""
    boxes = [truth.boxes] if truth.boxes_infrared is None else [truth.boxes, truth.boxes_infrared.astype(np.float64)]
    present = [_has_area(box) for box in boxes]
    known = [np.where(there[:, None], box, np.nan) for box, there in zip(boxes, present, strict=True)]
    return compare_best(known, result).select(np.any(present, axis=0) & _shown(truth))


def _average_later(overlaps: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """[F] -> [1] mean overlap of the frames after the first; of the only one where there is one."""
    return average(overlaps[1:] if len(overlaps) > 1 else overlaps, thresholds)


def _lasot_errors(truth: GroundTruth, result: np.ndarray) -> Errors:
    """Only frames in which the target is visible count; the result is repaired first."""
    errors = compare(truth.boxes, repair(result, truth.boxes[0]))
    return errors.select(_shown(truth) & _has_area(truth.boxes))


def _pytracking_errors(
    truth: GroundTruth, result: np.ndarray, *, center: float, normalized: float, absent_normalized: float
) -> Errors:
    """Every frame counts; `center` and `normalized` are the errors of a frame without a usable annotation."""
    errors = compare(truth.boxes, repair(result, truth.boxes[0]))
    shown, usable = _shown(truth), _has_area(truth.boxes) & _shown(truth)
    lost = np.where(shown, normalized, absent_normalized)
    return Errors(
        np.where(usable, errors.center, center),
        np.where(usable, errors.normalized, lost),
        np.where(usable, errors.overlap, -1),
    )


def _pytracking_general(truth: GroundTruth, result: np.ndarray) -> Errors:
    """Frames without a usable annotation fail precision and success, and are hits of normalised precision."""
    return _pytracking_errors(truth, result, center=np.inf, normalized=-1, absent_normalized=-1)


def _pytracking_uav(truth: GroundTruth, result: np.ndarray) -> Errors:
    """As the general rule; frames without a usable annotation are also hits of precision."""
    return _pytracking_errors(truth, result, center=-1, normalized=-1, absent_normalized=-1)


def _pytracking_lasot(truth: GroundTruth, result: np.ndarray) -> Errors:
    """Frames where the target is absent are failures in every measure: a result cannot report absence."""
    return _pytracking_errors(truth, result, center=np.inf, normalized=-1, absent_normalized=np.inf)


def _got10k_errors(truth: GroundTruth, result: np.ndarray) -> Errors:
    """Frames after the first that show a part of the target count; boxes are clipped to the image if its size is
    known."""
    boxes = truth.boxes
    if truth.size is not None:
        boxes, result = clip_to_image(boxes, truth.size), clip_to_image(result, truth.size)
    errors = compare(boxes, result)._replace(overlap=np.nan_to_num(overlap(boxes, result)))
    return errors.select(_shown(truth) & (np.arange(len(boxes)) > 0))


def _grid(metric: Metric) -> Metric:
    """The metric with thresholds as multiples of their step in Python's arithmetic; ties may differ from MATLAB's."""
    step = {"center": 1, "normalized": 0.01, "overlap": 0.05}[metric.measure]
    return replace(metric, thresholds=np.arange(len(metric.thresholds)) * step)


_PYTRACKING = tuple(map(_grid, precision_and_success(PYTRACKING_SOURCE)))
_RATES = np.arange(101) / 100

#: Over the frames after the first, whose box is given; `_plain_errors` leaves out those without a target.
_MEAN_IOU = Metric(
    "mIoU", "mean overlap after the first frame", "none", np.zeros(1), 0, PLAIN_SOURCE, share=_average_later
)

PLAIN = Protocol("plain", precision_and_success(PLAIN_SOURCE), _plain_errors)
PLAIN_IOU = Protocol("plain_iou", (*PLAIN.metrics, _MEAN_IOU), _plain_errors)
OTB = Protocol("otb", precision_and_success(OTB_PAPER), kit_errors, missing=1)
LASOT = Protocol("lasot", precision_and_success(LASOT_PAPER), _lasot_errors)
LASOT_ALL = Protocol("lasot_all", _PYTRACKING, _pytracking_lasot)
PYTRACKING = Protocol("pytracking", _PYTRACKING, _pytracking_general, missing=1)
UAV = Protocol("uav", _PYTRACKING, _pytracking_uav, missing=1)
GOT10K = Protocol(
    "got10k",
    (
        Metric("AO", "average overlap", "none", np.zeros(1), 0, GOT10K_PAPER, share=average),
        Metric("SR50", "success: overlap above 0.5", "IoU", _RATES, 50, GOT10K_PAPER),
        Metric("SR75", "success: overlap above 0.75", "IoU", _RATES, 75, GOT10K_PAPER),
    ),
    _got10k_errors,
    pooled=True,
)
