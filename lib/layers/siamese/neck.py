"""The layers between a trunk of several levels and a Siamese head (SiamRPN++, CVPR 2019).

B targets, S streams, L levels, C channels, f features on each side.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..batch_invariant import BatchInvariantConv2d

TEMPLATE_CELLS = 7  # of 15: those behind the target itself, whose features have seen least of the border


class Neck(nn.Module):
    """Every level of every stream in the same number of channels: a 1x1 convolution and BatchNorm each."""

    def __init__(self, inputs: Mapping[int, int], channels: int, streams: int = 1):
        """inputs: level of the trunk -> its channels."""
        super().__init__()
        self.levels = list(inputs)
        self.streams = nn.ModuleList(
            nn.ModuleDict({level_name(level): _adjust(own, channels) for level, own in inputs.items()})
            for _ in range(streams)
        )

    def forward(self, maps: Mapping[int, Tensor], *, template: bool) -> Tensor:
        """Of each level [B, S, C', f, f] -> [B, L, S, C, f, f]; of a template the middle, [B, L, S, C, 7, 7]"""
        found = []
        for level in self.levels:
            images = zip(self.streams, maps[level].unbind(1), strict=True)
            found.append(
                torch.stack([layers.get_submodule(level_name(level))(image) for layers, image in images], dim=1)
            )
        return crop_middle(torch.stack(found, dim=1)) if template else torch.stack(found, dim=1)


def level_name(level: int) -> str:
    """The name of a level in weights."""
    return f"res{level}"


def crop_middle(features: Tensor) -> Tensor:
    """[..., f, f] -> [..., 7, 7]"""
    first = (features.shape[-1] - TEMPLATE_CELLS) // 2
    part = slice(first, first + TEMPLATE_CELLS)
    return features[..., part, part]


def _adjust(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(BatchInvariantConv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
