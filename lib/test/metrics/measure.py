"""Errors of the boxes of one video, and the share of frames above or below a threshold.

Boxes are [T, 4] float64 `xywh` pixels. In float32, ties at the thresholds would change SR by 3e-5.
"""

from typing import NamedTuple

import numpy as np


class Errors(NamedTuple):
    """The errors of the F frames of one video that count. NaN is a failure in every measure."""

    center: np.ndarray  # [F] pixels
    normalized: np.ndarray  # [F] in units of the target's size
    overlap: np.ndarray  # [F] in [0, 1]; -1 for a frame that the kit's rule counts as failure

    def select(self, frames: np.ndarray) -> "Errors":
        """Only the frames of a [F] bool mask."""
        return Errors(*(values[frames] for values in self))


def compare(truth: np.ndarray, result: np.ndarray) -> Errors:
    """The errors of every frame: [T, 4], [T, 4] -> Errors. NaN or infinite where the true box has no area."""
    return Errors(center_error(truth, result), normalized_error(truth, result), overlap(truth, result))


def compare_best(truths: list[np.ndarray], result: np.ndarray) -> Errors:
    """The better value per frame and measure over several annotations of the same video."""
    center, normalized, shared = zip(*(compare(truth, result) for truth in truths), strict=True)
    return Errors(np.fmin.reduce(center), np.fmin.reduce(normalized), np.fmax.reduce(shared))


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
    """[F], [K] -> [K] share of frames whose error is at most the threshold (NaN never is)."""
    return (errors[:, None] <= thresholds).mean(0)


def share_below(errors: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """[F], [K] -> [K] share of frames whose error is below the threshold (NaN never is)."""
    return (errors[:, None] < thresholds).mean(0)


def share_above(overlaps: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """[F], [K] -> [K] share of frames whose overlap exceeds the threshold (NaN never does)."""
    return (overlaps[:, None] > thresholds).mean(0)


def average(overlaps: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """[F] -> [1] mean overlap, with NaN as 0, for metrics without a threshold."""
    return np.full(len(thresholds), np.nan_to_num(overlaps).mean())


def matlab_range(step: float, stop: float) -> np.ndarray:
    """MATLAB's `0:step:stop`, bit by bit: computed upwards from 0 below the middle and downwards from `stop` above."""
    count = round(stop / step)
    index = np.arange(count + 1)
    return np.where(index <= count // 2, index * step, stop - (count - index) * step)


def clip_to_image(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The part of each box inside an image of (width, height) pixels: [T, 4] -> [T, 4]."""
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    corners = np.clip(corners, 0, np.tile(np.asarray(size, np.float64), 2))
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def repair(result: np.ndarray, first: np.ndarray) -> np.ndarray:
    """A result repaired as in OTB's kit and its successors, [T, 4] -> [T, 4]: the first row becomes the given box,
    later rows with NaN or without area repeat the row before."""
    broken = np.isnan(result).any(1) | (result[:, 2:] <= 0).any(1)
    broken[:1] = False
    last = np.maximum.accumulate(np.where(broken, 0, np.arange(len(result))))
    return np.concatenate([first[None], result[last][1:]])


def _center(boxes: np.ndarray) -> np.ndarray:
    """Centres [T, 2] by the kits' formula; the rounding of x + w / 2 instead would change NPR by up to 6e-5."""
    return boxes[:, :2] + (boxes[:, 2:] - 1) / 2
