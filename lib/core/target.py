"""The state of a target while it is tracked."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .target_mask import PixelMask


@dataclass(frozen=True, eq=False)
class Target:
    """One target after one frame. Picklable: it holds everything that is needed to continue."""

    name: str  # name in messages, such as the sequence's
    box: np.ndarray  # [4] float64, xywh, frame pixels
    score: float = 1.0  # the tracker's confidence in `box`; 1 for a box that the user gave
    found: bool = True  # whether the tracker reports the target in this frame
    age: int = 0  # frames since the first one
    mask: "PixelMask | None" = None  # its pixels in this frame, from trackers that are asked for them
    corners: np.ndarray | None = None  # [4, 2] x y, frame pixels, of a rotated box, from trackers that find one
    state: Any = None  # private state of the tracker that follows it
