"""The layers of MDNet (Nam and Han, CVPR 2016) with the dense map of RT-MDNet (ECCV 2018).

B images, K boxes, C channels, S side of an image, f cells of a map, D features of a box.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

STRIDE = 8  # pixels of the image per cell of the map
FIELD = 75  # receptive field of a cell, pixels
CELLS = 3  # on each side of a box's features
DROPOUT = 0.5


class LocalNorm(nn.Module):
    """x / (2 + 1e-4 x^2)^0.75 for each value: local response normalisation over one channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x / (2 + 1e-4 * x * x) ** 0.75


class MDNetLayers(nn.Module):
    """Three convolutions, the last one dilated where MDNet has a pooling layer, so that the map is dense; and the two
    fully connected layers that every target's classifier begins with. Names are those of the published weights."""

    def __init__(self, width: float = 1.0):
        """width: multiple of the channels 96, 256, 512 and 512."""
        super().__init__()
        c1, c2, c3, hidden = (max(1, round(channels * width)) for channels in (96, 256, 512, 512))
        self.conv1 = nn.Sequential(nn.Conv2d(3, c1, 7, stride=2), nn.ReLU(), LocalNorm(), nn.MaxPool2d(3, stride=2))
        self.conv2 = nn.Sequential(nn.Conv2d(c1, c2, 5, stride=2), nn.ReLU(), LocalNorm())
        self.conv3 = nn.Sequential(nn.Conv2d(c2, c3, 3, dilation=3), nn.ReLU())
        self.fc4 = nn.Sequential(nn.Linear(c3 * CELLS**2, hidden), nn.ReLU())
        self.fc5 = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(hidden, hidden), nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] pixels minus 128 -> [B, C, h, w]"""
        return self.conv3(self.conv2(self.conv1(images)))


class HeadWeights(NamedTuple):
    """The fully connected layers that are learned for a target: two shared ones and the binary branch, each with its
    bias."""

    fc4: Tensor  # [H, D]
    fc4_bias: Tensor  # [H]
    fc5: Tensor  # [H, H]
    fc5_bias: Tensor  # [H]
    fc6: Tensor  # [2, H] background, target
    fc6_bias: Tensor  # [2]


def first_weights(layers: MDNetLayers, deviation: float, generator: torch.Generator) -> HeadWeights:
    """Copies of the shared layers, and a branch drawn with a standard deviation."""
    state = layers.state_dict()
    names = ("fc4.0.weight", "fc4.0.bias", "fc5.1.weight", "fc5.1.bias")
    fc4, fc4_bias, fc5, fc5_bias = (state[name].float().clone() for name in names)
    branch = deviation * torch.randn(2, len(fc5), generator=generator)
    return HeadWeights(fc4, fc4_bias, fc5, fc5_bias, branch.to(fc5), fc5.new_zeros(2))


def score_boxes(weights: HeadWeights, features: Tensor, drop: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Scores of boxes: [K, D] -> [K, 2] background, target. drop: masks [K, H] in front of the second and third layer,
    in training."""
    hidden = linear(features, weights.fc4, weights.fc4_bias).relu()
    hidden = hidden if drop is None else hidden * drop[0]
    hidden = linear(hidden, weights.fc5, weights.fc5_bias).relu()
    hidden = hidden if drop is None else hidden * drop[1]
    return linear(hidden, weights.fc6, weights.fc6_bias)


def draw_masks(count: int, width: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Masks of dropout: two of [count, width], on the CPU; values 0 and 1 / (1 - DROPOUT)."""
    kept = torch.rand(2, count, width, generator=generator) >= DROPOUT
    first, second = (kept / (1 - DROPOUT)).unbind()
    return first, second


def binary_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Mean cross entropy of the scores [K, 2] of boxes on the target and of boxes beside it: scalar."""
    total = positive.log_softmax(1)[:, 1].sum() + negative.log_softmax(1)[:, 0].sum()
    return -total / (len(positive) + len(negative))
