"""Which annotated frames are good enough to train with."""

import numpy as np

from .sequence import Sequence

LEAST_SIDE, LARGEST_SIDE = 10, 4096  # pixels of a box
LEAST_INSIDE = 0.5  # share of a box that must lie in its image


def usable_rows(sequence: Sequence, least: float, least_side: float = LEAST_SIDE) -> np.ndarray:
    """Rows whose box, in each stream that has its own, is neither too small nor beyond all reason and mostly inside the
    frame (where its size is known), and whose target is visible to at least the share `least` (where that is known).
    least_side: pixels."""
    usable = np.ones(len(sequence.boxes), bool)
    for boxes in (sequence.boxes, sequence.boxes_infrared):
        if boxes is not None:
            usable &= ((boxes[:, 2:] >= least_side) & (boxes[:, 2:] <= LARGEST_SIDE)).all(1)
            if sequence.size is not None:
                usable &= inside_share(boxes, np.array([0, 0, *sequence.size])) >= LEAST_INSIDE
    if sequence.visible_share is not None:
        usable &= sequence.visible_share >= least
    return np.flatnonzero(usable)


def inside_share(boxes: np.ndarray, region: np.ndarray) -> np.ndarray:
    """How much of each box lies in a region: [N, 4], [4] xywh pixels -> [N] in [0, 1]; 0 for a box without area."""
    low = np.maximum(boxes[:, :2], region[:2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], region[:2] + region[2:])
    return np.maximum(high - low, 0).prod(1) / np.maximum(boxes[:, 2:].prod(1), 1e-9)
