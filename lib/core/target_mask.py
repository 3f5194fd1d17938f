"""The pixels of a target: a mask of a crop, and its place in the frame. S side of the crop."""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np


class PixelMask(Protocol):
    """How likely each pixel of a frame belongs to a target. Picklable."""

    def in_frame(self, size: tuple[int, int]) -> np.ndarray:
        """The probabilities of a frame of this height and width: [H, W] float32."""


@dataclass(frozen=True, eq=False)
class TargetMask:
    """How likely each pixel of a crop belongs to the target. Picklable."""

    values: np.ndarray  # [S, S] float32 in [0, 1]
    corner: tuple[int, int]  # first column and row of the crop in the frame; may lie outside
    extent: tuple[int, int]  # width and height of the crop, frame pixels

    def in_frame(self, size: tuple[int, int]) -> np.ndarray:
        """The probabilities of a frame of this height and width, 0 outside the crop: [H, W] float32."""
        canvas = np.zeros(size, np.float32)
        x, y = self.corner
        top, left = max(0, y), max(0, x)
        part = self.stretched()[top - y : size[0] - y, left - x : size[1] - x] if y < size[0] and x < size[1] else None
        if part is not None and part.size:
            canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
        return canvas

    def stretched(self) -> np.ndarray:
        """The probabilities of the crop's pixels in the frame: [height, width] float32, resized bilinearly."""
        return cv2.resize(self.values, self.extent, interpolation=cv2.INTER_LINEAR)

    def box(self, threshold: float, least_area: float) -> np.ndarray | None:
        """The box ([4] xywh, frame pixels) around the largest connected region above the threshold; None where its
        outline encloses no more than `least_area` pixels."""
        outline = largest_outline(self.stretched() > threshold, least_area)
        if outline is None:
            return None
        x, y, width, height = cv2.boundingRect(outline)
        return np.array([x + self.corner[0], y + self.corner[1], width, height], np.float64)


def largest_outline(inside: np.ndarray, least_area: float) -> np.ndarray | None:
    """The outline ([P, 1, 2] int32, x y) that encloses the largest area in a mask [H, W] bool; None where that is no
    more than `least_area` pixels. Areas are those of the polygons through the centres of border pixels; holes count."""
    outlines = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[-2]
    areas = [cv2.contourArea(outline) for outline in outlines]
    if not areas or max(areas) <= least_area:
        return None
    return np.asarray(outlines[int(np.argmax(areas))])
