"""Boxes that climb to a maximum of their predicted IoU (ATOM, CVPR 2019, section 3.1; PrDiMP, CVPR 2020).

B targets, K boxes of a target. Boxes are xywh, pixels of the search region.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ...core.boxes import cxcywh_to_xywh, xywh_to_cxcywh

_SMALLEST = 1.0  # pixels of width and height of an optimised box


class BoxSteps(NamedTuple):
    """How boxes are optimised."""

    number: int
    length: float
    relative: bool  # steps in the centre over the size of the first box and the logarithm of the size (PrDiMP)


def climb(score: Callable[[Tensor], Tensor], boxes: Tensor, steps: BoxSteps) -> tuple[Tensor, Tensor]:
    """Gradient ascent of all boxes at once: boxes after the last step, [B, K, 4], and their scores before it, [B, K].

    score: boxes [B, K, 4] -> [B, K]; each box's score depends on itself alone. boxes: [B, K, 4]; of each target the
    first one is its usual size. Neither result has a gradient. Without steps: the boxes and their scores.
    """
    boxes = boxes.detach()
    if not steps.number:
        return boxes, score(boxes).detach()
    unit = boxes[:, :1, 2:]
    place = _to_relative(boxes, unit) if steps.relative else boxes
    for _ in range(steps.number):
        with torch.enable_grad():
            free = place.requires_grad_()
            found = score(_from_relative(free, unit) if steps.relative else free)
            (slope,) = torch.autograd.grad(found.sum(), free)
        place = place.detach()
        place = place + steps.length * (slope if steps.relative else slope * place[..., 2:].repeat(1, 1, 2))
    return (_from_relative(place, unit) if steps.relative else place), found.detach()


def jitter_boxes(boxes: Tensor, noise: Tensor, position: float, size: float) -> Tensor:
    """Boxes [B, 4], and K - 1 others around each: [B, K, 4].

    noise: [B, K - 1, 4] uniform in [-0.5, 0.5]; position, size: ranges of the changes of the centre and the size, as
    shares of the square root of the box's area. No side is shorter than a third of the box's shorter one.
    """
    middle = xywh_to_cxcywh(boxes)[:, None]
    extent = boxes[:, None, 2:].prod(-1, keepdim=True).clamp(min=0).sqrt()
    scaled = noise * extent
    shift = torch.cat([scaled[..., :2] * position, scaled[..., 2:] * size], -1)
    least = boxes[:, None, 2:].amin(-1, keepdim=True) / 3
    moved = middle + shift
    others = cxcywh_to_xywh(torch.cat([moved[..., :2], torch.maximum(moved[..., 2:], least)], -1))
    return torch.cat([boxes[:, None], others], dim=1)


def mean_of_best(boxes: Tensor, scores: Tensor, count: int, aspect: float) -> tuple[Tensor, Tensor]:
    """The mean of the `count` best boxes: [B, K, 4] and [B, K] -> [B, 4] and whether there is any, [B] bool.

    Boxes whose sides differ by more than the factor `aspect`, and boxes that are not finite, do not count.
    """
    boxes = torch.cat([boxes[..., :2], boxes[..., 2:].clamp(min=_SMALLEST)], -1)
    ratio = boxes[..., 2] / boxes[..., 3]
    usable = (ratio < aspect) & (ratio > 1 / aspect) & boxes.isfinite().all(-1) & scores.isfinite()
    best, order = scores.masked_fill(~usable, -torch.inf).topk(min(count, scores.shape[1]), dim=1)
    weight = (best > -torch.inf).to(boxes.dtype)[..., None]
    chosen = torch.where(weight > 0, boxes.gather(1, order[..., None].expand(-1, -1, 4)), 0)
    return chosen.sum(1) / weight.sum(1).clamp(min=1), usable.any(1)


def _to_relative(boxes: Tensor, unit: Tensor) -> Tensor:
    middle = xywh_to_cxcywh(boxes)
    return torch.cat([middle[..., :2] / unit, middle[..., 2:].log()], -1)


def _from_relative(place: Tensor, unit: Tensor) -> Tensor:
    return cxcywh_to_xywh(torch.cat([place[..., :2] * unit, place[..., 2:].exp()], -1))
