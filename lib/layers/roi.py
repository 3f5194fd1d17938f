"""Features of boxes, and which of many boxes to keep; in plain torch. B targets, K boxes, C channels, f features.

Boxes are cxcywh, pixels of the search region relative to its centre.
"""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from ..core.boxes import cxcywh_to_xyxy, iou_and_union
from .trunks import Trunk


def sample_features(features: Tensor, pixels: Tensor, trunk: Trunk) -> Tensor:
    """A trunk's features at input pixels, bilinear, border repeated: [B, C, f, f], [B, ..., 2] x y -> [B, C, ...]."""
    last = features.shape[-1] - 1
    # In grid_sample's units the first feature's centre is -1 and the last one's 1.
    place = (pixels - trunk.first) / trunk.stride * (2 / last) - 1
    grid = place.flatten(1, -2)[:, :, None].to(features.dtype)
    sampled = grid_sample(features, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return sampled[..., 0].unflatten(2, pixels.shape[1:-1])


def match_features(
    features: Tensor,
    boxes: Tensor,
    scales: Tensor,
    size: int,
    trunk: Trunk,
    *,
    side: int = 6,
    samples: int = 1,
    largest: bool = False,
) -> Tensor:
    """What the template's features would be, were each box the target.

    features: [B, C, f, f] of a search region of `size` pixels; boxes: [B, K, 4]; scales: [B, K] side of the box's
    context square over the template's. A grid of `side` cells, one feature stride times the scale apart, is sampled
    at `samples` x `samples` points of each cell, whose mean (or largest value) is taken: [B, K, C, side, side].
    """
    count = side * samples
    steps = (torch.arange(count, device=boxes.device) - (count - 1) / 2) * (trunk.stride / samples)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    pixels = torch.stack([x, y], dim=-1) * scales[..., None, None, None] + boxes[:, :, None, None, :2] + (size - 1) / 2
    sampled = sample_features(features, pixels, trunk).transpose(1, 2)
    if samples > 1:
        cells = sampled.unflatten(-1, (side, samples)).unflatten(-3, (side, samples))
        sampled = cells.amax((-3, -1)) if largest else cells.mean((-3, -1))
    return sampled


def normalize_features(features: Tensor) -> Tensor:
    """Divided by their L2 norm: [..., C, n, n] -> same shape."""
    return features / feature_norm(features)[..., None, None, None]


def feature_norm(features: Tensor) -> Tensor:
    """L2 norm of a whole feature map: [..., C, n, n] -> [...]."""
    return features.flatten(-3).norm(dim=-1).clamp(min=torch.finfo(features.dtype).tiny)


def suppress(boxes: Tensor, scores: Tensor, threshold: float, keep: int) -> tuple[Tensor, Tensor]:
    """Greedy non-maximum suppression: the best box, then the best of those that overlap no chosen one, and so on.

    boxes: [B, K, 4]; scores: [B, K], minus infinity for boxes that do not count. Returns [B, keep] indices in order
    of score, and [B, keep] bool: False where nothing was left (the index is then any). No wait for the device.
    """
    corners = cxcywh_to_xyxy(boxes)
    near = iou_and_union(corners[:, :, None], corners[:, None])[0] > threshold
    chosen, valid = [], []
    for _ in range(keep):
        best, index = scores.max(dim=1)
        chosen.append(index)
        valid.append(best > -torch.inf)
        gone = near.gather(1, index[:, None, None].expand(-1, 1, near.shape[2]))[:, 0]
        scores = scores.masked_fill(gone, -torch.inf).scatter(1, index[:, None], -torch.inf)
    return torch.stack(chosen, dim=1), torch.stack(valid, dim=1)
