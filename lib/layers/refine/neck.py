"""Alpha-Refine's necks: from template and search features to the features that its heads read (Yan et al., CVPR 2021).

B targets, C channels of the backbone, k template cells and n search cells on each side, F fused channels.
"""

from dataclasses import dataclass

import torch
from easydict import EasyDict
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..correlation import correlate_depthwise, correlate_pixels
from ..prroi import precise_pool

_REDUCTION = 4  # of channels inside the gate
_KERNEL = 3


@dataclass(frozen=True)
class NeckLayout:
    """How a neck is built, from MODEL.NECK."""

    correlation: str  # pixel: one map for each template cell; whole: one map for the template
    template: str  # slice: the middle of the template's features; pool: precise pooling of the box
    gate: str  # after, before: where the channels are weighted, relative to the 1x1 convolutions
    spatial: str  # none, nonlocal, convolutions: what follows the gate (the version of 2020)
    channels: int  # F
    hidden: int  # channels of the 1x1 convolutions before the last one

    @classmethod
    def from_config(cls, neck: EasyDict) -> "NeckLayout":
        """From MODEL.NECK."""
        return cls(neck.CORRELATION, neck.TEMPLATE, neck.GATE, neck.SPATIAL, neck.NUM_CHANNELS, neck.HIDDEN_CHANNELS)


class ChannelGate(nn.Module):
    """Weights for channels from their means (squeeze and excitation, Hu et al., CVPR 2018)."""

    def __init__(self, channels: int):
        super().__init__()
        inner = max(1, channels // _REDUCTION)
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.fc2 = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, F, n, n] -> the same, weighted"""
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class NonLocal(nn.Module):
    """Attention between the cells of a map; keys and values are pooled (Wang et al., CVPR 2018)."""

    def __init__(self, channels: int):
        super().__init__()
        inner = max(1, channels // 2)
        self.g = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.MaxPool2d(2))
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.MaxPool2d(2))
        norm = nn.BatchNorm2d(channels)
        self.W = nn.Sequential(nn.Conv2d(inner, channels, 1), norm)
        nn.init.zeros_(norm.weight)  # the block begins as the identity

    def forward(self, x: Tensor) -> Tensor:
        """[B, F, n, n] -> [B, F, n, n]"""
        queries, keys, values = (part(x).flatten(2) for part in (self.theta, self.phi, self.g))
        mixed = (queries.mT @ keys).softmax(-1) @ values.mT  # [B, n^2, F / 2]
        return x + self.W(mixed.mT.unflatten(2, x.shape[2:]))


class AddedConvolutions(nn.Sequential):
    """Three 3x3 convolutions with BatchNorm, whose output is added."""

    def __init__(self, channels: int):
        parts: list[nn.Module] = []
        for _ in range(3):
            parts += [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        super().__init__(*parts)

    def forward(self, x: Tensor) -> Tensor:
        """[B, F, n, n] -> [B, F, n, n]"""
        return x + super().forward(x)


_SPATIAL: dict[str, type[nn.Module]] = {"nonlocal": NonLocal, "convolutions": AddedConvolutions}


class RefineNeck(nn.Module):
    """Correlation, 1x1 convolutions, channel gate. Names of modules are the published ones."""

    def __init__(self, layout: NeckLayout, side: int, stride: int, factor: float):
        """side: of the template in cells; stride: pixels of a cell; factor: width of the template over that of its
        target."""
        super().__init__()
        self.layout, self.stride = layout, stride
        self.cells = cells = round(side / factor)  # k
        self.first = round(side * (factor - 1) / (2 * factor))  # cell of the target in the template
        maps, hidden, outputs = cells**2, layout.hidden, layout.channels
        if layout.correlation == "whole":
            maps = outputs
            self.adjust = nn.Sequential(nn.Conv2d(1, outputs, _KERNEL, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())
        parts: list[nn.Module] = []
        for inputs, channels in ((maps, hidden), (hidden, hidden), (hidden, outputs)):
            parts += [nn.Conv2d(inputs, channels, 1), nn.BatchNorm2d(channels), nn.ReLU()]
        self.post_corr = nn.Sequential(*parts)
        self.channel_attention = ChannelGate(maps if layout.gate == "before" else outputs)
        self.spatial_attention = _SPATIAL.get(layout.spatial, lambda channels: nn.Identity())(outputs)

    def take(self, template: Tensor, box: Tensor | None) -> Tensor:
        """What is kept of a template: [B, C, N, N], box [B, 4] xyxy in pixels of the template or None (in the middle,
        as cut) -> [B, C, k, k]"""
        if self.layout.template == "slice":
            own = slice(self.first, self.first + self.cells)
            return template[:, :, own, own]
        if box is None:
            edges = template.new_tensor([self.first, self.first + self.cells], dtype=torch.float32) * self.stride
            box = edges[[0, 0, 1, 1]].expand(len(template), 4)
        return precise_pool(template, box[:, None], self.cells, self.stride)[:, 0]

    def forward(self, kernel: Tensor, search: Tensor) -> Tensor:
        """kernel [B, C, k, k], search [B, C, n, n] -> [B, F, n, n]"""
        x = self.correlate(kernel, search)
        x = self.post_corr(self.channel_attention(x)) if self.layout.gate == "before" else self.fuse(x)
        return self.spatial_attention(x)

    def fuse(self, x: Tensor) -> Tensor:
        """Correlation maps [B, k^2, n, n] -> [B, F, n, n]"""
        return self.channel_attention(self.post_corr(x))

    def correlate(self, kernel: Tensor, search: Tensor) -> Tensor:
        """kernel [B, C, k, k], search [B, C, n, n] -> [B, k^2, n, n], or [B, F, n, n] where the template is one
        kernel"""
        if self.layout.correlation == "pixel":
            return correlate_pixels(kernel, search)
        whole = correlate_depthwise(search, kernel).sum(1, keepdim=True).to(search.dtype)
        return interpolate(self.adjust(whole), search.shape[2:], mode="bilinear", align_corners=False)
