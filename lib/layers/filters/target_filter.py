"""Filters that belong to one target each: applying them, the gradient of that, and a first filter from features
(DiMP, ICCV 2019, section 3.2).

B targets, N images of a target, C channels, H W cells of the features, k side of a filter. An even filter's score map
is one cell larger than the features.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import fold, unfold

from ...core.boxes import xywh_to_xyxy
from ..precision import at_least_float32, own_precision
from ..prroi import precise_pool


def apply_filter(features: Tensor, filters: Tensor) -> Tensor:
    """The correlation of each target's features with its own filter, padded by k // 2: [B, N, C, H, W] and [B, C, k, k]
    -> [B, N, H', W'], H' = H + 1 - k % 2.

    One matrix product gives k^2 maps, which are added where the filter's cells lie. That is several times as fast as a
    convolution with one output on a processor.
    """
    size, (height, width) = filters.shape[-1], features.shape[-2:]
    cells = filters.flip(2, 3).flatten(2).mT[:, None]
    shape = _score_size(height, size), _score_size(width, size)
    with own_precision(features):
        maps = (cells @ features.flatten(3)).flatten(0, 1)
        return fold(maps, shape, size, padding=_padding(size)).view(*features.shape[:2], *shape)


def filter_gradient(features: Tensor, residuals: Tensor, size: int) -> Tensor:
    """The transposed operation of `apply_filter`: [B, N, C, H, W] and [B, N, H', W'] -> [B, C, k, k], summed over the
    images. size: k."""
    cells = unfold(residuals.flatten(0, 1)[:, None], size, padding=_padding(size)).unflatten(0, residuals.shape[:2])
    with own_precision(features):
        products = (cells @ features.flatten(3).mT).sum(1)
    return products.mT.unflatten(2, (size, size)).flip(2, 3)


class FilterInitializer(nn.Module):
    """The first filter: a convolution of the features, pooled over the target's box, averaged over the images."""

    def __init__(self, channels: int, size: int = 4, stride: int = 16):
        super().__init__()
        self.size, self.stride = size, stride
        self.filter_conv = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.normal_(self.filter_conv.weight, std=math.sqrt(2 / (9 * channels)))
        self.filter_conv.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor, boxes: Tensor) -> Tensor:
        """[B, N, C, H, W] and xywh in pixels of the images [B, N, 4] -> [B, C, k, k]"""
        mapped = at_least_float32(self.filter_conv(features.flatten(0, 1)))
        pooled = precise_pool(mapped, xywh_to_xyxy(boxes.flatten(0, 1))[:, None], self.size, self.stride)
        return pooled[:, 0].unflatten(0, features.shape[:2]).mean(1)


class InstanceL2Norm(nn.Module):
    """Scales each image's features to a fixed root mean square, `scale`."""

    def __init__(self, scale: float):
        super().__init__()
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """[N, C, H, W] -> same shape, in float32 at least"""
        features, count = at_least_float32(features), features[0].numel()
        total = features.square().sum((1, 2, 3), keepdim=True) + 1e-5
        return features * (self.scale * (count / total).sqrt())


def centre_in_cells(boxes: Tensor, stride: int, size: int) -> Tensor:
    """The centres of boxes in cells of the score map: xywh in pixels [..., 4] -> y x [..., 2]. size: k."""
    return (boxes[..., :2] + boxes[..., 2:] / 2).flip(-1) / stride - (size % 2) / 2


def radius_map(centres: Tensor, height: int, width: int) -> Tensor:
    """The distance of each cell of a score map from a centre, in cells: y x [..., 2] -> [..., H', W']"""
    rows, columns = (torch.arange(count, device=centres.device, dtype=centres.dtype) for count in (height, width))
    dy = rows[:, None] - centres[..., :1, None]
    dx = columns - centres[..., 1:, None]
    return (dy.square() + dx.square()).sqrt()


def _score_size(cells: int, size: int) -> int:
    return cells + 1 - size % 2


def _padding(size: int) -> int:
    return size - 1 - size // 2
