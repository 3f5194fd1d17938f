"""Alpha-Refine's box heads: corners from one map each, corners with offsets, a box from each cell (Yan et al., CVPR
2021).

B targets, F fused channels, n cells on each side, s pixels of the crop per cell. Corners are xyxy in pixels of the
crop.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

X, Y = 0, 1


class Corners(NamedTuple):
    """What a box head says."""

    corners: Tensor  # [B, 4] xyxy, pixels of the crop; may be in the wrong order
    logits: Tensor  # [B, K, n, n] of the cells for each of its maps
    boxes: Tensor | None = None  # [B, 4, n, n] the answer of each cell, of a head that has them


class BoxHead(nn.Module):
    """What the heads share: the grid of cells."""

    points: Tensor

    def __init__(self, cells: int, stride: int):
        """cells: n; stride: s."""
        super().__init__()
        row = torch.arange(cells, dtype=torch.float32) * stride
        points = torch.stack([row.expand(cells, cells), row[:, None].expand(cells, cells)])
        self.register_buffer("points", points, persistent=False)  # [2, n, n] x and y of each cell's first corner

    def scores(self, logits: Tensor) -> Tensor:
        """How sure the head is of its answer: the largest probability of a cell, the mean over its maps. [B, K, n, n]
        -> [B] in (0, 1]"""
        return _probabilities(logits).flatten(2).amax(2).mean(1)

    def chances(self, logits: Tensor) -> Tensor:
        """A map for drawing: where the maps have their corners. [B, K, n, n] -> [B, n, n] in [0, 1]"""
        return _probabilities(logits).mean(1)

    def learn(self, found: Corners, truth: Tensor) -> tuple[Tensor, Tensor | None]:
        """What learns from a true box [B, 4] (xyxy, pixels of the crop): the corners [B, 4], and a loss of the maps,
        None where the corners alone are trained."""
        return found.corners, None


class CornerHead(BoxHead):
    """A tower of convolutions for each of two corners; a corner is the mean place under its softmax map. The names of
    modules are the published ones."""

    def __init__(self, inputs: int, channels: int, cells: int, stride: int):
        """inputs: F; channels: of the first convolution; each of the next three has half of those before it."""
        super().__init__(cells, stride)
        widths = [inputs, *(max(1, channels // 2**number) for number in range(4))]
        for corner in ("tl", "br"):
            for number in range(4):
                self.add_module(f"conv{number + 1}_{corner}", _conv(widths[number], widths[number + 1]))
            self.add_module(f"conv5_{corner}", nn.Conv2d(widths[-1], 1, 1))

    def forward(self, features: Tensor) -> Corners:
        """[B, F, n, n] -> Corners with 2 maps: top left, bottom right"""
        logits = torch.cat([self._tower(features, corner) for corner in ("tl", "br")], dim=1)
        chances = _probabilities(logits)
        return Corners((chances[:, :, None] * self.points).sum((3, 4)).flatten(1), logits)

    def _tower(self, x: Tensor, corner: str) -> Tensor:
        for number in range(1, 6):
            x = self.get_submodule(f"conv{number}_{corner}")(x)
        return x


class OffsetCornerHead(BoxHead):
    """One tower for all sides; a side is the mean of place and offset under its softmax map (SEex)."""

    def __init__(self, inputs: int, channels: int, cells: int, stride: int):
        """inputs: F; channels: of the first three convolutions; the fourth has twice as many."""
        super().__init__(cells, stride)
        widths = [inputs, channels, channels, channels, 2 * channels]
        convs = [_conv(widths[number], widths[number + 1]) for number in range(4)]
        self.tower = nn.Sequential(*convs, nn.Conv2d(widths[-1], 8, 1))

    def forward(self, features: Tensor) -> Corners:
        """[B, F, n, n] -> Corners with 4 maps: left, top, right, bottom"""
        logits, offsets = self.tower(features).float().chunk(2, dim=1)
        places = self.points[[X, Y, X, Y]] + offsets
        return Corners((_probabilities(logits) * places).sum((2, 3)), logits)


class CellBoxHead(BoxHead):
    """A box from each cell, relative to the cell; the cell with the highest confidence answers (SErpn).

    In the published code nothing trains the confidence. Here the cell at the target's centre is its label.
    """

    def __init__(self, inputs: int, channels: int, cells: int, stride: int):
        """inputs: F; channels: of all convolutions."""
        super().__init__(cells, stride)
        self.stride = stride
        for name, outputs in (("box_tower", 4), ("confidence_tower", 1)):
            convs = [_conv(inputs if number == 0 else channels, channels) for number in range(4)]
            self.add_module(name, nn.Sequential(*convs, nn.Conv2d(channels, outputs, 1)))

    def forward(self, features: Tensor) -> Corners:
        """[B, F, n, n] -> Corners with 1 map"""
        logits = self.get_submodule("confidence_tower")(features).float()
        boxes = self.get_submodule("box_tower")(features).float() + self.points[[X, Y, X, Y]]
        return Corners(_at(boxes, logits.flatten(1).argmax(1)), logits, boxes)

    def scores(self, logits: Tensor) -> Tensor:
        """The probability of the best cell: [B, 1, n, n] -> [B] in (0, 1]"""
        return _probabilities(logits).flatten(1).amax(1)

    def learn(self, found: Corners, truth: Tensor) -> tuple[Tensor, Tensor | None]:
        """The box of the cell at the target's centre, and the cross entropy of that cell."""
        assert found.boxes is not None
        cells = self.points.shape[-1]
        column, row = ((truth[:, :2] + truth[:, 2:]) / 2 / self.stride).long().clamp(0, cells - 1).unbind(1)
        cell = row * cells + column
        return _at(found.boxes, cell), cross_entropy(found.logits.flatten(1), cell)


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def _probabilities(logits: Tensor) -> Tensor:
    """[B, K, n, n] -> the same shape in float32; each map sums to one"""
    return logits.float().flatten(2).softmax(2).unflatten(2, logits.shape[2:])


def _at(boxes: Tensor, cell: Tensor) -> Tensor:
    """[B, 4, n, n], numbers of cells [B] -> [B, 4]"""
    return boxes.flatten(2).gather(2, cell[:, None, None].expand(-1, 4, 1))[..., 0]


#: MODEL.HEAD.TYPE -> the head: inputs, channels, cells, stride
BOX_HEADS: dict[str, Callable[[int, int, int, int], BoxHead]] = {
    "CORNER": CornerHead,
    "OFFSETS": OffsetCornerHead,
    "CELLS": CellBoxHead,
}
