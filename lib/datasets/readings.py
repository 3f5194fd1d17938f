"""What boxes are if they are not `x y w h` in pixels: another reading that fits their image where this one does not."""

from typing import NamedTuple

import numpy as np

THOUSAND = 1000  # width and height of the image in the units that some programs and language models give boxes in
STICKS_OUT = 0.25  # share of boxes that reach beyond their image, above which corners are thought of
FAR_OUT = 0.1  # share of boxes whose centre lies outside their image, above which other units are thought of


class Reading(NamedTuple):
    """Another reading of boxes."""

    words: str  # how the numbers are then meant
    boxes: np.ndarray  # [T, 4] xywh, pixels


def other_reading(boxes: np.ndarray, size: tuple[int, int]) -> Reading | None:
    """The reading by which all boxes [T, 4] lie in an image of (width, height), where as `x y w h` in pixels many do
    not; None where these fit, and where nothing else does."""
    known = boxes[np.isfinite(boxes).all(1) & (boxes[:, 2:] > 0).all(1)]
    if not len(known) or (known[:, :2] < 0).any():
        return None
    place, extent, ends = known[:, :2], known[:, 2:], known[:, :2] + known[:, 2:]
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    are_corners = bool((place < extent).all())
    if (ends > size).any(1).mean() > STICKS_OUT and are_corners and (extent <= size).all():
        return Reading("x1,y1,x2,y2", corners)
    if (place + extent / 2 > size).any(1).mean() <= FAR_OUT:
        return None
    scale = np.tile(size, 2) / THOUSAND
    if are_corners and (extent <= THOUSAND).all():
        return Reading("x1,y1,x2,y2 in thousandths of the image", corners * scale)
    return Reading("thousandths of the image", boxes * scale) if (ends <= THOUSAND).all() else None
