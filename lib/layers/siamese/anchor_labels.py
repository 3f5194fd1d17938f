"""Labels and box targets of the anchors in SiamRPN's training.

B samples, A anchors per cell, n cells on each side, N = A n^2. Boxes are cxcywh, pixels of the crop relative to its
centre. Which anchors count is drawn by a hash of the sample's box, without random state: a sample gets the same labels
alone and in any batch, on any device.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...core.boxes import cxcywh_to_xyxy, iou_and_union
from .anchors import encode

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


class Labels(NamedTuple):
    """Targets of every anchor."""

    classes: Tensor  # [B, A, n, n] int64: 1 target, 0 not the target, -1 does not count
    deltas: Tensor  # [B, 4, A, n, n]
    weight: Tensor  # [B, A, n, n] of the box loss: 1 / number of positives, 0 elsewhere


@dataclass(frozen=True)
class LabelRule:
    """Thresholds are overlaps (IoU), the rest are numbers of anchors per sample (SiamRPN; DaSiamRPN, ECCV 2018)."""

    positive: float = 0.6  # above it an anchor is positive
    negative: float = 0.3  # below it an anchor may be negative
    forced: float = 0.4  # where no anchor is above `positive`, the best one is positive from here on
    most_positive: int = 16
    total: int = 64  # positives and negatives of a positive pair; negatives fill only total - most_positive
    distractor: float = 0.5  # above it an anchor lies on another object
    most_distractor: int = 16  # negatives of a positive pair that lie on other objects
    reach: int = 3  # cells around the object of a negative pair where its negatives are drawn
    near: int = 16  # negatives drawn there
    elsewhere: int = 16  # negatives of a negative pair drawn anywhere else

    def __call__(
        self, anchors: Tensor, boxes: Tensor, positive: Tensor | None = None, others: Tensor | None = None
    ) -> Labels:
        """Labels of a batch.

        anchors: [4, A, n, n]; boxes: [B, 4] of the target or, in a negative pair, of the object that is not the target;
        positive: [B] bool, None: all; others: [B, K, 4] boxes of other objects in the crop, NaN where there are fewer
        than K.
        """
        shape = anchors.shape[1:]
        corners = cxcywh_to_xyxy(anchors.flatten(1).T)
        overlap = iou_and_union(corners, cxcywh_to_xyxy(boxes)[:, None])[0]
        order = draw_order(boxes, corners.shape[0])
        if positive is None:
            positive = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
        hits = first_in_order(self._hits(overlap), self.most_positive, order) & positive[:, None]
        free = overlap < self.negative
        misses = self._misses(free & ~hits, self._occupied(corners, others, free), order)
        around = near_cells(anchors, boxes, self.reach)
        foes = first_in_order(around, self.near, order) | first_in_order(~around, self.elsewhere, order)
        classes = torch.full_like(overlap, IGNORED, dtype=torch.int64)
        classes = classes.masked_fill(torch.where(positive[:, None], misses, foes), NEGATIVE).masked_fill(
            hits, POSITIVE
        )
        weight = hits / hits.sum(1, keepdim=True).clamp(min=1)
        return Labels(classes.unflatten(1, shape), encode(boxes, anchors), weight.unflatten(1, shape))

    def _hits(self, overlap: Tensor) -> Tensor:
        """[B, N] -> [B, N] bool: anchors on the target."""
        hits = overlap > self.positive
        best, index = overlap.max(1, keepdim=True)
        forced = torch.zeros_like(hits).scatter(1, index, best >= self.forced)
        return torch.where(hits.any(1, keepdim=True), hits, forced)

    def _occupied(self, corners: Tensor, others: Tensor | None, free: Tensor) -> Tensor:
        """Anchors on other objects but not on the target: [N, 4], [B, K, 4], [B, N] -> [B, N] bool."""
        if others is None or not others.shape[1]:
            return torch.zeros_like(free)
        overlap = iou_and_union(corners[:, None], cxcywh_to_xyxy(others)[:, None])[0]
        return (overlap > self.distractor).any(2) & free  # NaN > threshold is False

    def _misses(self, free: Tensor, occupied: Tensor, order: Tensor) -> Tensor:
        """[B, N] bool: the negatives of a positive pair, first those on other objects."""
        semantic = first_in_order(occupied & free, self.most_distractor, order)
        rest = self.total - self.most_positive - semantic.sum(1, keepdim=True)
        return semantic | first_in_order(free & ~semantic, rest, order)


def near_cells(anchors: Tensor, boxes: Tensor, reach: int) -> Tensor:
    """Anchors whose cell lies within `reach` rows and columns of the one nearest to a box's centre.

    [4, A, n, n], [B, 4] -> [B, N] bool
    """
    columns, rows = anchors[0, 0, 0], anchors[1, 0, :, 0]
    index = torch.arange(len(columns), device=boxes.device)
    column, row = ((boxes[:, k, None] - place).abs().argmin(1, keepdim=True) for k, place in ((0, columns), (1, rows)))
    x, y = (index - column).abs() <= reach, (index - row).abs() <= reach
    cells = y[:, None, :, None] & x[:, None, None, :]
    return cells.expand(-1, anchors.shape[1], -1, -1).flatten(1)


def first_in_order(mask: Tensor, count: int | Tensor, order: Tensor) -> Tensor:
    """Keep at most `count` True of a mask, those lowest in `order`: [B, N] bool, int or [B, 1], [B, N] -> [B, N]."""
    rank = order.masked_fill(~mask, torch.iinfo(order.dtype).max).argsort(dim=1, stable=True).argsort(dim=1)
    return mask & (rank < count)


def draw_order(boxes: Tensor, count: int) -> Tensor:
    """Pseudo-random numbers that follow from each box: [B, 4] float32 -> [B, count] int64 from 0 to 2^31 - 1."""
    seed = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    for bits in boxes.detach().float().contiguous().view(torch.int32).long().unbind(1):
        seed = _mix(seed ^ (bits & 0x7FFFFFFF))
    return _mix(seed[:, None] ^ _mix(torch.arange(1, count + 1, device=boxes.device)))


def _mix(value: Tensor) -> Tensor:
    """A permutation of 31-bit numbers that spreads every bit; the products stay below 2^62."""
    for shift, factor in ((16, 0x45D9F3B), (15, 0x2C1B3C6D), (16, 0x297A2D39)):
        value = ((value ^ (value >> shift)) * factor) & 0x7FFFFFFF
    return value
