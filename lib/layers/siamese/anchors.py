"""Anchors: boxes of fixed shapes around every score cell, and the deltas by which a network changes them.

B targets, A anchors per cell, n cells on each side. Coordinates are pixels of the crop, relative to its centre. Boxes
are cxcywh along the first dimension after the batch.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MOST_CHANGE = 4.0  # largest logarithm of the ratio of a box's size to its anchor's


def anchor_shapes(ratios: Sequence[float], scales: Sequence[float], stride: int) -> Tensor:
    """Width and height of each anchor: [A, 2], ratios (h / w) slowest. Cut to whole multiples, as in the public code.

    >>> anchor_shapes([0.33, 0.5, 1, 2, 3], [8], 8).tolist()
    [[104.0, 32.0], [88.0, 40.0], [64.0, 64.0], [40.0, 80.0], [32.0, 96.0]]
    """
    shapes = []
    for ratio in ratios:
        width = math.floor(math.sqrt(stride * stride / ratio))
        height = math.floor(width * ratio)
        shapes += [[width * scale, height * scale] for scale in scales]
    return torch.tensor(shapes, dtype=torch.float32)


def anchor_boxes(shapes: Tensor, grid: int, stride: int) -> Tensor:
    """Every anchor of a map: [A, 2], n -> [4, A, n, n].

    Cell j is centred `stride` * (j - floor(n / 2)) from the crop's centre. True division, which the public code has
    under Python 3, would shift every box by half a stride.
    """
    steps = (torch.arange(grid, device=shapes.device, dtype=shapes.dtype) - grid // 2) * stride
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    centre = torch.stack([x, y])[:, None].expand(2, len(shapes), grid, grid)
    extent = shapes.T[:, :, None, None].expand_as(centre)
    return torch.cat([centre, extent])


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """The deltas from anchors to boxes: [B, 4], [4, A, n, n] -> [B, 4, A, n, n]."""
    boxes = boxes[:, :, None, None, None]
    offset = (boxes[:, :2] - anchors[:2]) / anchors[2:]
    return torch.cat([offset, (boxes[:, 2:] / anchors[2:]).log()], dim=1)


def decode(deltas: Tensor, anchors: Tensor) -> Tensor:
    """The boxes from deltas and anchors: [B, 4, A, n, n], [4, A, n, n] -> [B, 4, A, n, n]."""
    centre = deltas[:, :2] * anchors[2:] + anchors[:2]
    return torch.cat([centre, deltas[:, 2:].clamp(-MOST_CHANGE, MOST_CHANGE).exp() * anchors[2:]], dim=1)
