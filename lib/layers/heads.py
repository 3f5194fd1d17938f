"""Heads that read one box per target from the search features.

B targets, C channels, n cells on each side of the score map. Boxes are cxcywh in units of the search region's side.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .batch_invariant import BatchInvariantConv2d


class Prediction(NamedTuple):
    """A head's output for a search region."""

    score_map: Tensor  # [B, 1, n, n] in (0, 1)
    size_map: Tensor  # [B, 2, n, n] width and height; empty (B, 0, n, n) where a head has none
    offset_map: Tensor  # [B, 2, n, n] centre offset within the cell, in cells; empty where a head has none
    boxes: Tensor  # [B, 4] the box read from the maps without a window


class CenterHead(nn.Module):
    """Score, size and offset maps; the box is read at the best score (OSTrack, ECCV 2022, section 3.3)."""

    def __init__(self, in_channels: int, channels: int, grid: int):
        super().__init__()
        self.grid = grid
        for branch, outputs in (("ctr", 1), ("offset", 2), ("size", 2)):
            _add_branch(self, branch, in_channels, channels, outputs)

    def forward(self, features: Tensor) -> Prediction:
        """[B, C, n, n] -> maps and boxes"""
        score = _bounded_sigmoid(_run_branch(self, "ctr", features))
        size = _bounded_sigmoid(_run_branch(self, "size", features))
        offset = _run_branch(self, "offset", features).float()  # bfloat16 is coarser than a pixel
        return Prediction(score, size, offset, self.read(score, size, offset)[0])

    def read(self, score_map: Tensor, size_map: Tensor, offset_map: Tensor) -> tuple[Tensor, Tensor]:
        """The box at the highest score: boxes [B, 4], index of its cell [B]."""
        cell = score_map.flatten(1).argmax(dim=1)
        width, height = _at(size_map, cell).unbind(1)
        dx, dy = _at(offset_map, cell).unbind(1)
        column, row = cell % self.grid, torch.div(cell, self.grid, rounding_mode="floor")
        return torch.stack([(column + dx) / self.grid, (row + dy) / self.grid, width, height], dim=1), cell

    def decode(self, prediction: Prediction, window: Tensor) -> tuple[Tensor, Tensor]:
        """The box where score times `window` [n, n] is highest: boxes [B, 4], the score there [B]."""
        boxes, cell = self.read(prediction.score_map * window, prediction.size_map, prediction.offset_map)
        return boxes, prediction.score_map.flatten(1).gather(1, cell[:, None])[:, 0]


class CornerHead(nn.Module):
    """Two corner heat maps whose expected positions are the box (STARK, ICCV 2021; `HEAD.TYPE: CORNER`)."""

    place: Tensor

    def __init__(self, in_channels: int, channels: int, grid: int):
        super().__init__()
        for branch in ("tl", "br"):
            _add_branch(self, branch, in_channels, channels, 1)
        place = torch.arange(grid).float() / grid
        self.register_buffer("place", place, persistent=False)

    def forward(self, features: Tensor) -> Prediction:
        """[B, C, n, n] -> boxes; the score map is the product of the two corners' distributions at their best"""
        top_left, bottom_right = (self._distribution(branch, features) for branch in ("tl", "br"))
        first, second = self._expected(top_left), self._expected(bottom_right)
        boxes = torch.cat([(first + second) / 2, second - first], dim=1)
        return Prediction(top_left, features[:, :0], features[:, :0], boxes)

    def decode(self, prediction: Prediction, window: Tensor) -> tuple[Tensor, Tensor]:
        """The expected box [B, 4] and the top-left corner's highest probability [B]; no window in this head."""
        return prediction.boxes, prediction.score_map.flatten(1).amax(dim=1)

    def _distribution(self, branch: str, features: Tensor) -> Tensor:
        logits = _run_branch(self, branch, features).float()
        return logits.flatten(1).softmax(dim=1).view_as(logits)

    def _expected(self, distribution: Tensor) -> Tensor:
        x = (distribution.sum(dim=2)[:, 0] * self.place).sum(dim=1)
        y = (distribution.sum(dim=3)[:, 0] * self.place).sum(dim=1)
        return torch.stack([x, y], dim=1)


def build_head(kind: str, in_channels: int, channels: int, grid: int) -> CenterHead | CornerHead:
    """The head named by `MODEL.HEAD.TYPE`."""
    head = CenterHead if kind == "CENTER" else CornerHead
    return head(in_channels, channels, grid)


def _add_branch(head: nn.Module, branch: str, in_channels: int, channels: int, outputs: int) -> None:
    """conv1..conv4: 3x3 convolution, BatchNorm, ReLU, halving the channels; conv5: 1x1."""
    widths = [in_channels, channels, channels // 2, channels // 4, channels // 8]
    for number, (before, after) in enumerate(zip(widths[:-1], widths[1:], strict=True), start=1):
        layer = nn.Sequential(BatchInvariantConv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU())
        head.add_module(f"conv{number}_{branch}", layer)
    head.add_module(f"conv5_{branch}", BatchInvariantConv2d(widths[-1], outputs, 1))


def _run_branch(head: nn.Module, branch: str, x: Tensor) -> Tensor:
    for number in range(1, 6):
        layer = head.get_submodule(f"conv{number}_{branch}")
        x = layer(x.to(next(layer.parameters()).dtype))  # the last layers may have a higher precision than the rest
    return x


def _bounded_sigmoid(x: Tensor) -> Tensor:
    return x.float().sigmoid().clamp(1e-4, 1 - 1e-4)


def _at(maps: Tensor, cell: Tensor) -> Tensor:
    """[B, K, n, n] at cell [B] -> [B, K]"""
    return maps.flatten(2).gather(2, cell[:, None, None].expand(-1, maps.shape[1], 1))[:, :, 0]
