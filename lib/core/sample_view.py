"""Views of ATOM and the DiMP family: squares whose border is repeated, of whole pixels, of frames that may be thinned.

S side of a crop, pixels. The centre of a frame's first pixel is at 0 in what the family calls a position.
"""

import math
from dataclasses import dataclass

import numpy as np

from .view import View

REPEAT, INSIDE = "repeat", "inside"  # what a view does at the frame's border


@dataclass(frozen=True, eq=False)
class SampleView(View):
    """A view that need not be centred on its target. Its conversions are exact: the crop begins where the view does."""

    step: int = 1  # every step-th row and column of the frame is used
    phase: tuple[int, int] = (0, 0)  # first column and row that are used, of those at `step`

    def lines(self, frame: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The rows and columns of a frame of this height and width that the crop is resized from."""
        parts = []
        axes = zip(self.corner[::-1], self.extent[::-1], self.phase[::-1], frame, strict=False)
        for start, extent, first, end in axes:
            count = max(1, math.ceil((end - first) / self.step))
            places = np.arange(start // self.step, start // self.step + extent // self.step)
            parts.append(np.minimum(first + self.step * np.clip(places, 0, count - 1), end - 1))
        return parts[0], parts[1]

    def to_crop(self, box: np.ndarray) -> np.ndarray:
        """A frame box in crop units: [4] xywh pixels -> [4] xywh."""
        box, extent = np.asarray(box, np.float64), np.array(self.extent)
        return np.concatenate([(box[:2] - self.corner) / extent, box[2:] / extent])

    def to_frame(self, box: np.ndarray) -> np.ndarray:
        """A box in the frame: [4] cxcywh in crop units -> [4] xywh pixels."""
        box, extent = np.asarray(box, np.float64), np.array(self.extent)
        size = box[2:] * extent
        return np.concatenate([box[:2] * extent + self.corner - size / 2, size])

    @property
    def region(self) -> np.ndarray:
        """The view: [4] xywh, frame pixels."""
        return np.array([*self.corner, *self.extent], np.float64)


def place_sample(
    box: np.ndarray,
    side: float,
    size: int,
    frame: tuple[int, int],
    *,
    border: str = REPEAT,
    shrinking: float = 1.0,
    rounded: bool = False,
) -> SampleView:
    """The square of `side` pixels around the position of a box (xywh, pixels) in a frame of this height and width, as
    `sample_patch` of the family cuts it.

    A square that is more than twice as large as the crop is cut from every second, third, ... pixel. border: REPEAT, or
    INSIDE: a larger square than the frame's larger side shrinks by up to `shrinking`; then it moves as far inside as it
    can, and is centred where it does not fit. rounded: to the nearest pixel, as in first frames, instead of down.
    """
    shape = np.array(frame[::-1])
    position = (np.rint if rounded else np.trunc)(box[:2] + (box[2:] - 1) / 2).astype(int)
    if border == INSIDE:
        side = math.floor(side / min(max(float((side / shape).min()), 1.0), shrinking))
    step = max(int(side / size - 0.1), 1)
    phase = position % step
    cells = max(round(side / step), 2)
    first = (position - phase) // step - (cells - 1) // 2
    if border == INSIDE:
        inner = np.ceil((shape - phase) / step).astype(int)
        first = first + np.maximum(-first, 0) - np.maximum(first + cells - inner, 0)
        beyond = (np.maximum(-first, 0) + np.maximum(first + cells - inner, 0)) // 2
        first = np.where(beyond > 0, -beyond, first)
    corner, extent = step * first, step * cells
    scale = size / extent
    return SampleView(
        np.asarray(box, np.float64), (int(corner[0]), int(corner[1])), (extent, extent), (size, size), (scale, scale),
        None, step=step, phase=(int(phase[0]), int(phase[1])),
    )  # fmt: skip
