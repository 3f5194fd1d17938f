"""Heads without anchors over several levels (SiamBAN, CVPR 2020), and the block that they are made of (SiamRPN++).

B targets, C channels, A boxes of a cell, n score cells and n + 6 features on each side.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..batch_invariant import BatchInvariantConv2d
from ..correlation import correlate_depthwise
from ..precision import own_precision
from ..trunks.resnet import STRIDE

#: Largest logarithm of a distance: 493 pixels. With the first steps of Adam the exponential could overflow.
MOST = 6.2


class DepthwiseCorrelation(nn.Module):
    """Each channel of the search region is correlated with the same channel of the template; then two layers."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.conv_kernel = _convolution(inputs, hidden, 3)
        self.conv_search = _convolution(inputs, hidden, 3)
        self.head = nn.Sequential(*_convolution(hidden, hidden, 1), BatchInvariantConv2d(hidden, outputs, 1))

    def forward(self, template: Tensor, search: Tensor) -> Tensor:
        """template [B, C, 7, 7], search [B, C, n + 6, n + 6] -> [B, outputs, n, n]"""
        return self.read(self.correlate(self.conv_kernel(template), search))

    def correlate(self, kernel: Tensor, search: Tensor) -> Tensor:
        """The correlation, [B, hidden, n, n] float32. kernel: `conv_kernel` of the template, [B, hidden, 5, 5]."""
        return correlate_depthwise(self.conv_search(search), kernel)

    def read(self, correlation: Tensor) -> Tensor:
        """The layers behind the correlation. Boxes are read from them, so they have their weights' precision."""
        with own_precision(correlation):
            return self.head(correlation.to(next(self.head.parameters()).dtype))


class LevelHead(nn.Module):
    """Scores from several levels, weighted by a learned softmax (SiamDMA's heads of single cameras)."""

    def __init__(self, levels: Sequence[str], channels: int):
        super().__init__()
        self.levels = nn.ModuleDict({level: DepthwiseCorrelation(channels, channels, 2) for level in levels})
        self.cls_weight = level_weights(len(levels))

    def forward(self, template: Tensor, search: Tensor) -> Tensor:
        """template [B, L, C, 7, 7], search [B, L, C, n + 6, n + 6] -> logits [B, 2, n, n] background, target"""
        each = zip(self.levels.values(), template.unbind(1), search.unbind(1), strict=True)
        return mix_levels([block(z, x) for block, z, x in each], self.cls_weight)


class ScoreAndBox(nn.Module):
    """The two blocks of a level."""

    def __init__(self, inputs: int, hidden: int, anchors: int = 1):
        """anchors: boxes of each cell."""
        super().__init__()
        self.cls, self.loc = (DepthwiseCorrelation(inputs, hidden, values * anchors) for values in (2, 4))

    def forward(self, template: Tensor, search: Tensor) -> tuple[Tensor, Tensor]:
        """template [B, C, 7, 7], search [B, C, n + 6, n + 6] -> [B, 2 A, n, n], [B, 4 A, n, n]"""
        return self.cls(template, search), self.loc(template, search)


class MultiBANHead(nn.Module):
    """Scores and the distances from each cell to the sides of the target's box, from several levels."""

    def __init__(self, levels: Sequence[str], channels: int):
        super().__init__()
        self.levels = nn.ModuleDict({level: ScoreAndBox(channels, channels) for level in levels})
        self.cls_weight, self.loc_weight = level_weights(len(levels)), level_weights(len(levels))
        self.loc_scale = nn.Parameter(torch.ones(len(levels)))

    def forward(self, templates: Sequence[Tensor], searches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Of each level template [B, C, 7, 7] and search [B, C, n + 6, n + 6] -> logits [B, 2, n, n] (background,
        target), distances [B, 4, n, n] (left, top, right, bottom) in pixels of the search region"""
        logits, distances = [], []
        each = zip(self.levels.values(), self.loc_scale.float(), templates, searches, strict=True)
        for blocks, scale, template, search in each:
            scores, sides = blocks(template, search)
            logits.append(scores)
            distances.append((scale * sides.float()).clamp(max=MOST).exp())
        return mix_levels(logits, self.cls_weight), mix_levels(distances, self.loc_weight)


def level_weights(levels: int) -> nn.Parameter | None:
    """Equal weights of several levels; one level needs none."""
    return nn.Parameter(torch.ones(levels)) if levels > 1 else None


def mix_levels(maps: Sequence[Tensor], weight: Tensor | None) -> Tensor:
    """The sum of L maps, weighted by the softmax of [L], in float32."""
    if weight is None:
        return maps[0].float()
    shares = weight.float().softmax(0)
    return (shares[:, None, None, None, None] * torch.stack([one.float() for one in maps])).sum(0)


def grid_points(cells: int, device: torch.device | None = None) -> Tensor:
    """Pixels of the search region from its middle to each column (row) of an odd number of cells: [n]."""
    return (torch.arange(cells, device=device, dtype=torch.float32) - cells // 2) * STRIDE


def boxes_from_sides(distances: Tensor) -> Tensor:
    """Distances from each cell to the sides (left, top, right, bottom) -> boxes: [B, 4, n, n] -> [B, 4, n, n] cxcywh,
    pixels from the middle of the search region."""
    points = grid_points(distances.shape[-1], distances.device)
    left, top, right, bottom = distances.unbind(1)
    x, y = points[None, None, :] + (right - left) / 2, points[None, :, None] + (bottom - top) / 2
    return torch.stack([x, y, left + right, top + bottom], dim=1)


def _convolution(inputs: int, outputs: int, size: int) -> nn.Sequential:
    return nn.Sequential(BatchInvariantConv2d(inputs, outputs, size, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
