"""The protocols of RGB-T benchmarks: LasHeR, RGBT234, RGBT210, GTOT, VTUAV; rules as in their kits, quirks included."""

from dataclasses import replace

import numpy as np

from .measure import Errors, compare, compare_best, matlab_range, repair, share_below, share_within
from .protocol import GroundTruth, Metric, Protocol, rounded

LASHER_KIT = "LasHeR evaluation kit, Li et al., LasHeR: A Large-scale High-diversity Benchmark, TIP 2022"
RGBT234_KIT = "MPR-MSR evaluation kit of RGBT234, Li et al., RGB-T Object Tracking: Benchmark and Baseline, PR 2019"
RGBT210_PAPER = "Li et al., Weighted Sparse Representation Regularized Graph Learning for RGB-T Tracking, ACM MM 2017"
GTOT_KIT = "GTOT evaluation kit, Li et al., Learning Collaborative Sparse Representation for Tracking, TIP 2016"
VTUAV_PAPER = "Zhang et al., Visible-Thermal UAV Tracking: A Large-Scale Benchmark, CVPR 2022"

PIXELS, SIZES, OVERLAPS = matlab_range(1, 50), matlab_range(0.01, 0.5), matlab_range(0.05, 1)
DECIMALS = np.arange(21) / 20  # nearest to 0.05, 0.1, ... as in RGBT234's kit; rounding decides ties (1e-5 in MSR)


def precision(name: str, source: str) -> Metric:
    """Share of frames whose centre is at most 20 pixels off."""
    title = "precision: centre error at most 20 px"
    return Metric(name, title, "px", PIXELS, 20, source, measure="center", share=share_within)


def normalized_precision(name: str, source: str) -> Metric:
    """Share of frames whose centre is at most 0.2 target sizes off."""
    title = "normalised precision: centre error at most 0.2 target sizes"
    return Metric(name, title, "target sizes", SIZES, 20, source, measure="normalized", share=share_within)


def success(name: str, source: str, thresholds: np.ndarray = OVERLAPS) -> Metric:
    """Mean over 21 overlap thresholds of the share of frames above them."""
    return Metric(name, "success: mean share of frames over 21 overlap thresholds", "IoU", thresholds, None, source)


def precision_and_success(source: str) -> tuple[Metric, ...]:
    """PR, NPR and SR as most benchmarks quote them."""
    return precision("PR", source), normalized_precision("NPR", source), success("SR", source)


def kit_errors(truth: GroundTruth, result: np.ndarray) -> Errors:
    """The rule of OTB's kit and of LasHeR's kit, which is derived from it.

    A frame counts as annotated when all four numbers of the true box are above 0. Any other frame is a hit of both
    precisions and a failure of success. This includes true boxes that touch the left or upper border, and published
    scores contain it.
    """
    annotated = (truth.boxes > 0).all(1)
    errors = compare(truth.boxes, repair(result, truth.boxes[0]))
    return Errors(*(np.where(annotated, values, -1) for values in errors))


def _best_of_two(truth: GroundTruth, result: np.ndarray) -> Errors:
    """Every frame counts, including the first, without repair; of two annotations the better one counts in each
    frame."""
    boxes = [truth.boxes] if truth.boxes_infrared is None else [truth.boxes, truth.boxes_infrared.astype(np.float64)]
    return compare_best(boxes, result)


def _from_first_box(truth: GroundTruth, result: np.ndarray) -> Errors:
    """One annotation; the first row of the result is replaced by the given box."""
    return compare(truth.boxes, np.concatenate([truth.boxes[:1], result[1:]]))


LASHER = Protocol("lasher", precision_and_success(LASHER_KIT), kit_errors)
_RGBT234 = (precision("MPR", RGBT234_KIT), success("MSR", RGBT234_KIT, DECIMALS))
RGBT234 = Protocol("rgbt234", _RGBT234, _best_of_two, missing=1)
_RGBT210 = (precision("PR", RGBT210_PAPER), success("SR", RGBT210_PAPER, DECIMALS))
RGBT210 = Protocol("rgbt210", _RGBT210, _from_first_box, missing=1)
#: Only rows of `truth.annotated` count, every 10th frame. The rules are those of the paper, not of the benchmark's kit.
_VTUAV = (precision("MPR", VTUAV_PAPER), success("MSR", VTUAV_PAPER, DECIMALS))
VTUAV = Protocol("vtuav", _VTUAV, _best_of_two, missing=1)
GTOT = Protocol(
    "gtot",
    (
        replace(
            precision("PR", GTOT_KIT),
            title="precision: centre error below 5 px",
            thresholds=matlab_range(0.5, 25),
            position=10,
            share=share_below,
        ),
        replace(
            success("SR", GTOT_KIT),
            title="success: area under the curve over 51 overlap thresholds",
            thresholds=np.arange(51) / 50,  # nearest floats: another rounding changes SR by up to 3e-5
            area=True,
        ),
    ),
    _best_of_two,
    pooled=True,
    missing=1,
)
#: RGBT_toolkit rounds every result; the kits round only results that are stored as corners.
GTOT_ROUNDED = rounded(GTOT, "gtot_rounded")
RGBT234_ROUNDED = rounded(RGBT234, "rgbt234_rounded")
