"""Labels of the points of a search region for heads without anchors, by two ellipses (SiamBAN, CVPR 2020).

B samples, n points on each side, N = n^2. Boxes are cxcywh, pixels of the crop relative to its middle. Which points
count is drawn by a hash of the sample's box, as for anchors.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...core.boxes import cxcywh_to_xyxy
from .anchor_labels import IGNORED, NEGATIVE, POSITIVE, draw_order, first_in_order


class PointLabels(NamedTuple):
    """Targets of every point."""

    classes: Tensor  # [B, n, n] int64: 1 target, 0 not the target, -1 does not count
    distances: Tensor  # [B, 4, n, n] pixels to the left, top, right and bottom side of the box; below 0 outside


@dataclass(frozen=True)
class EllipseRule:
    """Sizes of the ellipses relative to the box, and numbers of points per sample."""

    inner: float = 0.5  # points inside the ellipse of this share of width and height are positive
    outer: float = 1.0  # points outside the ellipse of this share are negative; those between do not count
    most_positive: int = 16
    most_negative: int = 48
    most_foreign: int = 16  # negatives of a negative pair: they lie on its object

    def __call__(self, points: Tensor, boxes: Tensor, positive: Tensor | None = None) -> PointLabels:
        """Labels of a batch.

        points: [n] pixels from the middle of the crop to each column, and to each row; boxes: [B, 4] of the target or,
        in a negative pair, of the object that is not the target; positive: [B] bool, None: all.
        """
        inside, outside = reach(points, boxes, self.inner) < 1, reach(points, boxes, self.outer) > 1
        here = torch.ones_like(boxes[:, :1], dtype=torch.bool) if positive is None else positive[:, None]
        order = draw_order(boxes, points.numel() ** 2)
        hits = first_in_order(inside & here, self.most_positive, order)
        most = torch.where(here, self.most_negative, self.most_foreign)
        misses = first_in_order(torch.where(here, outside, inside), most, order)
        classes = torch.full_like(order, IGNORED).masked_fill(misses, NEGATIVE).masked_fill(hits, POSITIVE)
        return PointLabels(classes.unflatten(1, (points.numel(),) * 2), side_distances(points, boxes))


def reach(points: Tensor, boxes: Tensor, share: float) -> Tensor:
    """How far each point lies from a box's centre: 1 on the ellipse of `share` of its width and height, by squares.

    [n], [B, 4] -> [B, N], row by row.
    """
    half = boxes[:, 2:] * share / 2
    x, y = (((points - boxes[:, k, None]) / half[:, k, None]) ** 2 for k in (0, 1))
    return (y[:, :, None] + x[:, None, :]).flatten(1)


def side_distances(points: Tensor, boxes: Tensor) -> Tensor:
    """From each point to the left, top, right and bottom side: [n], [B, 4] -> [B, 4, n, n]."""
    left, top, right, bottom = cxcywh_to_xyxy(boxes)[..., None, None].unbind(1)
    x, y = points[None, None, :], points[None, :, None]
    return torch.stack(torch.broadcast_tensors(x - left, y - top, right - x, bottom - y), dim=1)
