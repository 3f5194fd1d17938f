"""Features of boxes, and non-maximum suppression, in plain torch. B targets, K boxes, C channels, f features per side.

Boxes are cxcywh, pixels of the search region relative to its centre.
"""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from ...core.boxes import cxcywh_to_xyxy, iou_and_union
from ..trunks.alexnet import Trunk


def sample_features(features: Tensor, pixels: Tensor, trunk: Trunk) -> Tensor:
    """A trunk's features at input pixels, bilinear, with repeated border: [B, C, f, f], [B, ..., 2] xy -> [B, C,
    ...]."""
    last = features.shape[-1] - 1
    # grid_sample places the centre of the first feature at -1 and that of the last one at 1.
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
    """The features of each box as if it were the template: [B, K, C, side, side].

    features: [B, C, f, f] of a search region of `size` pixels; boxes: [B, K, 4]; scales: [B, K] side of the box's
    context square divided by the template's side. Each box has a grid of `side` x `side` cells with a spacing of one
    feature stride times the scale. A cell is the mean (or the largest value) of `samples` x `samples` sampled points.
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
    """Greedy non-maximum suppression: the best box, then the best box that overlaps no chosen one, and so on.

    boxes: [B, K, 4]; scores: [B, K], minus infinity for boxes that do not count. Returns indices [B, keep] in order of
    score, and [B, keep] bool: False where no box was left, with an arbitrary index. Does not wait for the device.
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
