"""A target's mask whose pixels lie anywhere in the frame, and the boxes that fit it (SiamMask, CVPR 2019).

S side of the mask; H, W size of the frame.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .target_mask import largest_outline


@dataclass(frozen=True, eq=False)
class SampledMask:
    """How likely each pixel of a mask belongs to the target. Picklable."""

    values: np.ndarray  # [S, S] float32 in [0, 1]
    origin: tuple[float, float]  # x and y of the mask's first pixel in the frame
    scale: tuple[float, float]  # frame pixels between two pixels of the mask, in x and y
    frame: tuple[int, int]  # H, W

    def in_frame(self, size: tuple[int, int]) -> np.ndarray:
        """The probabilities of a frame of this height and width: bilinear between the mask's pixels, 0 outside:
        [H, W] float32. cv2.warpAffine of OpenCV 4 rounds its coordinates to 1/32 pixel; this does not."""
        canvas = np.zeros(size, np.float32)
        columns, rows = (
            _Taps.between(size[1 - axis], self.origin[axis], self.scale[axis], self.values.shape[1 - axis])
            for axis in (0, 1)
        )
        part = columns.mix(rows.mix(self.values.astype(np.float64)).T).T
        canvas[rows.first : rows.first + part.shape[0], columns.first : columns.first + part.shape[1]] = part
        return canvas

    def outline(self, threshold: float, least_area: float) -> np.ndarray | None:
        """As `largest_outline`, of the pixels of the frame above the threshold."""
        return largest_outline(self.in_frame(self.frame) > threshold, least_area)

    def box(self, threshold: float, least_area: float) -> np.ndarray | None:
        """The box ([4] xywh, frame pixels) around the largest connected region above the threshold; None where its
        outline encloses no more than `least_area` pixels."""
        outline = self.outline(threshold, least_area)
        return None if outline is None else np.array(cv2.boundingRect(outline), np.float64)

    def corners(self, threshold: float, least_area: float) -> np.ndarray | None:
        """The corners ([4, 2] x y, frame pixels) of the rectangle of least area around the same region; None as `box`.
        Which corner is the first depends on the version of OpenCV."""
        outline = self.outline(threshold, least_area)
        return None if outline is None else cv2.boxPoints(cv2.minAreaRect(outline)).astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Taps:
    """For each place of a range of the frame, the two pixels of the mask that it lies between, and their weights."""

    first: int  # the first place that is not 0
    low: np.ndarray  # [N] index of the pixel before
    high: np.ndarray  # [N]
    weights: np.ndarray  # [2, N] of both; 0 for pixels outside the mask

    @classmethod
    def between(cls, count: int, origin: float, scale: float, pixels: int) -> "_Taps":
        """Of `count` places of a frame, for one direction of a mask of so many pixels."""
        places = (np.arange(count) - origin) / scale
        low = np.floor(places).astype(int)
        share = places - low
        known = [(index >= 0) & (index < pixels) for index in (low, low + 1)]
        used = np.flatnonzero(known[0] | known[1])
        weights = np.stack([(1 - share) * known[0], share * known[1]])[:, used]
        low = low[used]
        limit = pixels - 1
        return cls(int(used[0]) if len(used) else 0, low.clip(0, limit), (low + 1).clip(0, limit), weights)

    def mix(self, rows: np.ndarray) -> np.ndarray:
        """[S, K] -> [N, K]"""
        low, high = self.weights[:, :, None]
        return rows[self.low] * low + rows[self.high] * high


def hull_box(corners: np.ndarray) -> np.ndarray:
    """The box around corners: [4, 2] -> [4] xywh."""
    low, high = corners.min(0), corners.max(0)
    return np.concatenate([low, high - low])


def same_area_box(corners: np.ndarray) -> np.ndarray:
    """The box of VOT around the mean of a rectangle's corners: the shape of its hull, the area of the rectangle, and a
    pixel more in width and height. [4, 2] -> [4] xywh"""
    area = np.linalg.norm(corners[1] - corners[0]) * np.linalg.norm(corners[2] - corners[1])
    extent = hull_box(corners)[2:]
    extent = extent * np.sqrt(area / extent.prod()) + 1
    return np.concatenate([corners.mean(0) - extent / 2, extent])
