"""Boxes around a target that IoU-Net learns from (ATOM, CVPR 2019, section 3.1; PrDiMP, CVPR 2020, section 4.1).

B targets, K boxes of a target. Boxes are xywh, pixels. Random numbers are PyTorch's, of the boxes' device.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.boxes import cxcywh_to_xywh, iou_and_union, xywh_to_cxcywh, xywh_to_xyxy

_ROUNDS, _SHRINKING = 20, 0.85  # draws of a box whose IoU is too low, and how the deviation falls from one to the next


class Proposals(NamedTuple):
    """Boxes and what a network should say of them."""

    boxes: Tensor  # [B, K, 4]
    iou: Tensor  # [B, K] with the target
    sampling: Tensor | None = None  # [B, K] density that they were drawn from
    density: Tensor | None = None  # [B, K] density that is to be learned


def draw_by_iou(truth: Tensor, number: int, sigmas: Sequence[float], least: float) -> Proposals:
    """Boxes whose centre and size differ from the target's [B, 4] by normal noise, with one of the deviations `sigmas`
    times sqrt(w h) each. Boxes with an IoU below `least` are drawn again."""
    middle = xywh_to_cxcywh(truth)[:, None]
    table = truth.new_tensor(list(sigmas))
    deviation = table[torch.randint(len(table), (len(truth), number, 1), device=truth.device)]
    deviation = deviation * truth[:, None, 2:].prod(-1, keepdim=True).sqrt()
    boxes, iou = truth[:, None].expand(-1, number, -1), torch.zeros_like(deviation[..., 0])
    for round_ in range(_ROUNDS):
        noise = torch.randn(len(truth), number, 4, device=truth.device) * deviation * _SHRINKING**round_
        moved = middle + noise
        drawn = cxcywh_to_xywh(torch.cat([moved[..., :2], moved[..., 2:].clamp(min=1)], -1))
        found = _iou(drawn, truth)
        better = iou < least
        boxes, iou = torch.where(better[..., None], drawn, boxes), torch.where(better, found, iou)
    return Proposals(boxes, iou)


def draw_from_mixture(truth: Tensor, number: int, sigmas: Sequence[float], sigma: float) -> Proposals:
    """Boxes from a mixture of normal densities around the target [B, 4], in the centre over the target's size and the
    logarithm of the size: one part for each of the deviations `sigmas`. The density to be learned is the one of
    deviation `sigma`."""
    table = truth.new_tensor(list(sigmas))
    part = torch.randint(len(table), (len(truth), number, 1), device=truth.device)
    noise = torch.randn(len(truth), number, 4, device=truth.device) * table[part]
    middle = xywh_to_cxcywh(truth)[:, None]
    boxes = cxcywh_to_xywh(
        torch.cat([middle[..., :2] + noise[..., :2] * middle[..., 2:], middle[..., 2:] * noise[..., 2:].exp()], -1)
    )
    square = noise.square().sum(-1)
    sampling = torch.stack([_normal(square, float(one)) for one in sigmas]).mean(0)
    return Proposals(boxes, _iou(boxes, truth), sampling, _normal(square, sigma))


def _normal(square: Tensor, deviation: float) -> Tensor:
    """The density of a normal distribution of four values, from the sum of their squares."""
    return torch.exp(-square / (2 * deviation**2)) / (math.sqrt(2 * math.pi) * deviation) ** 4


def _iou(boxes: Tensor, truth: Tensor) -> Tensor:
    return iou_and_union(xywh_to_xyxy(boxes), xywh_to_xyxy(truth)[:, None])[0]
