"""FEAR's head: pixel-wise correlation and two towers (Borsuk et al., ECCV 2022).

B targets, C channels, k template cells and n search cells on each side.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..batch_invariant import BatchInvariantConv2d
from ..correlation import correlate_pixels

_DEPTH = 2  # separable convolutions of a tower before its last one


class FearMaps(NamedTuple):
    """The head's output for a search region."""

    logits: Tensor  # [B, n, n] of the target's place
    distances: Tensor  # [B, 4, n, n] from each cell's point to the left, top, right and bottom side, pixels
    tower: Tensor  # [B, C, n, n] features of the classification tower, before its last convolution


class SeparableConv(nn.Sequential):
    """A depthwise 3x3 and a 1x1 convolution, with ReLU at the end where it is asked for."""

    def __init__(self, inputs: int, outputs: int, *, relu: bool = True, first_bias: bool = True):
        layers: list[nn.Module] = [
            BatchInvariantConv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=first_bias),
            BatchInvariantConv2d(inputs, outputs, 1),
        ]
        super().__init__(*layers, *([nn.ReLU()] if relu else []))


class FearHead(nn.Module):
    """Scores and distances of each cell. The order of the modules is that of the published file."""

    def __init__(self, channels: int, cells: int):
        """channels: C; cells: k^2."""
        super().__init__()
        self.cls_encoder = SeparableConv(channels, channels, first_bias=False)
        self.box_encoder = SeparableConv(channels, channels, first_bias=False)
        self.cls_mix = SeparableConv(channels + cells, channels)
        self.box_mix = SeparableConv(channels + cells, channels)
        self.box_tower = _tower(channels)
        self.box_last = SeparableConv(channels, 4, relu=False)
        self.cls_tower = _tower(channels)
        self.cls_last = SeparableConv(channels, 1, relu=False)

    def forward(self, template: Tensor, search: Tensor) -> FearMaps:
        """template [B, C, k, k], search [B, C, n, n] -> FearMaps"""
        cls = self.cls_mix(correlate_cells(template, self.cls_encoder(search)))
        box = self.box_mix(correlate_cells(template, self.box_encoder(search)))
        features = self.cls_tower(cls)
        return FearMaps(self.cls_last(features)[:, 0], self.box_last(self.box_tower(box)).exp(), features)


def correlate_cells(template: Tensor, search: Tensor) -> Tensor:
    """Search features and their products with each template cell: [B, C, k, k], [B, C, n, n] -> [B, C + k^2, n, n]."""
    return torch.cat([search, correlate_pixels(template, search)], dim=1)


def _tower(channels: int) -> nn.Sequential:
    return nn.Sequential(*(SeparableConv(channels, channels) for _ in range(_DEPTH)))
