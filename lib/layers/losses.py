"""Targets and losses of the center head (CornerNet, ECCV 2018; CenterNet, 2019; GIoU, CVPR 2019) and of heads that
predict distances to the sides of a box (SiamBAN, CVPR 2020).

B targets, n cells on each side of the score map.
"""

import torch
from torch import Tensor

from ..core.boxes import cxcywh_to_xyxy, generalized_iou, xywh_to_cxcywh, xywh_to_xyxy

_MIN_OVERLAP = 0.7  # IoU that a box keeps when its corners move by the radius (CornerNet)


def gaussian_maps(boxes: Tensor, grid: int) -> Tensor:
    """CenterNet's target: a Gaussian around the cell nearest to each centre: [B, 4] xywh in [0, 1] -> [B, n, n]."""
    box = xywh_to_cxcywh(boxes) * grid
    centre = box[:, :2].round()
    radius = gaussian_radius(box[:, 2], box[:, 3])
    sigma = (2 * radius + 1) / 6
    cells = torch.arange(grid, dtype=box.dtype, device=box.device)
    dx, dy = cells - centre[:, :1], cells - centre[:, 1:]
    squares = dy[:, :, None] ** 2 + dx[:, None, :] ** 2
    value = torch.exp(-squares / (2 * sigma**2)[:, None, None])
    near = (dy.abs() <= radius[:, None])[:, :, None] & (dx.abs() <= radius[:, None])[:, None, :]
    return torch.where(near & (value >= torch.finfo(value.dtype).eps), value, 0.0)


def gaussian_radius(width: Tensor, height: Tensor) -> Tensor:
    """CornerNet's radius in whole cells for boxes of a width and height in cells: [B], [B] -> [B].

    The smallest of three cases' roots; the public code divides each by 2 whatever its leading coefficient.
    """
    m, area, sides = _MIN_OVERLAP, width * height, width + height
    r1 = (sides + (sides**2 - 4 * area * (1 - m) / (1 + m)).sqrt()) / 2
    r2 = (2 * sides + (4 * sides**2 - 16 * (1 - m) * area).sqrt()) / 2
    b3 = -2 * m * sides
    r3 = (b3 + (b3**2 - 16 * m * (m - 1) * area).sqrt()) / 2
    return torch.minimum(torch.minimum(r1, r2), r3).clamp(min=0).floor()


def focal_loss(score: Tensor, target: Tensor) -> Tensor:
    """CornerNet's focal loss: [B, n, n] in (0, 1), [B, n, n] in [0, 1] -> scalar.

    Divided by the number of cells whose target is 1, or not at all when there is none.
    """
    positive = (target == 1).to(score.dtype)
    hits = score.log() * (1 - score) ** 2 * positive
    misses = (1 - score).log() * score**2 * (1 - target) ** 4 * (1 - positive)
    return -(hits.sum() + misses.sum()) / positive.sum().clamp(min=1)


def box_losses(boxes: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean 1 - GIoU, mean corner distance and the IoU of each pair.

    boxes: [B, 4] cxcywh, truth: [B, 4] xywh, both in units of the crop; the truth's corners are clamped to the crop.
    """
    predicted, expected = cxcywh_to_xyxy(boxes), xywh_to_xyxy(truth).clamp(0, 1)
    giou, iou = generalized_iou(predicted, expected)
    return (1 - giou).mean(), (predicted - expected).abs().mean(), iou.detach()


def balanced_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross entropy in which positives and negatives have half the weight each (SiamRPN, CVPR 2018): scalar.

    logits: [B, 2, ...]; classes: [B, ...] 1, 0, or -1 for ignored anchors. A class without members adds 0.
    """
    likelihood = logits.log_softmax(1)
    total = likelihood.new_zeros(())
    for number in (0, 1):
        members = (classes == number).to(likelihood.dtype)
        total = total - 0.5 * (likelihood[:, number] * members).sum() / members.sum().clamp(min=1)
    return total


def side_distance_loss(predicted: Tensor, truth: Tensor, positive: Tensor, form: str) -> Tensor:
    """Mean loss of the positive points' boxes: scalar, 0 where there is none.

    predicted, truth: [B, 4, n, n] distances in pixels from a point to the left, top, right and bottom side of its box;
    positive: [B, n, n] bool; form: linear_iou 1 - IoU, iou -log IoU, giou 1 - GIoU (Rezatofighi et al., CVPR 2019).
    The IoU is that of SiamBAN, (intersection + 1) / (union + 1) in pixels. Points outside their true box have no
    meaning here and are not positive.
    """
    low, high = torch.minimum(predicted, truth), torch.maximum(predicted, truth)
    shared, hull = _extent_area(low), _extent_area(high)
    union = _extent_area(predicted) + _extent_area(truth) - shared
    iou = (shared + 1) / (union + 1)
    iou = torch.where(positive, iou, 1.0)  # what is far outside may have any value, and no gradient
    if form == "iou":
        losses = -iou.log()
    elif form == "giou":
        losses = 1 - iou + (hull - union) / hull
    else:
        losses = 1 - iou
    return torch.where(positive, losses, 0.0).sum() / positive.sum().clamp(min=1)


def _extent_area(distances: Tensor) -> Tensor:
    """Area between opposite sides: [B, 4, n, n] -> [B, n, n]."""
    left, top, right, bottom = distances.unbind(1)
    return (left + right) * (top + bottom)
