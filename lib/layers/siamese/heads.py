"""Heads of Siamese trackers with anchors.

B targets, L levels, C channels of the trunk, A anchors, n score cells on each side.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from ..correlation import correlate
from ..precision import own_precision
from .ban import ScoreAndBox, level_weights, mix_levels


class UPChannelRPN(nn.Module):
    """Anchor scores and box deltas by correlation with kernels made from the template (SiamRPN, CVPR 2018).

    It has as many hidden channels as the trunk. `corr_scale` multiplies the kernels: with 1, as in public weights, the
    logits of a new network have a standard deviation of about 22 and training does not converge.
    """

    corr_scale: Tensor

    def __init__(self, channels: int, anchors: int, corr_scale: float):
        super().__init__()
        self.anchors = anchors
        self.template_loc_conv = nn.Conv2d(channels, channels * 4 * anchors, 3)
        self.search_loc_conv = nn.Conv2d(channels, channels, 3)
        self.template_cls_conv = nn.Conv2d(channels, channels * 2 * anchors, 3)
        self.search_cls_conv = nn.Conv2d(channels, channels, 3)
        self.loc_adjust = nn.Conv2d(4 * anchors, 4 * anchors, 1)
        self.register_buffer("corr_scale", torch.tensor(corr_scale))

    def make_kernels(self, template: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, 6, 6] -> class kernels [B, 2 A, C, 4, 4], box kernels [B, 4 A, C, 4, 4]"""
        return self.make_class_kernels(template), self._kernels(self.template_loc_conv, template)

    def make_class_kernels(self, template: Tensor) -> Tensor:
        """[B, C, 6, 6] -> [B, 2 A, C, 4, 4]"""
        return self._kernels(self.template_cls_conv, template)

    def forward(self, search: Tensor, cls_kernels: Tensor, loc_kernels: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, f, f] and the kernels -> logits [B, 2, A, n, n] (background, foreground), deltas [B, 4, A, n, n]"""
        logits = correlate(self.search_cls_conv(search), cls_kernels)
        boxes = correlate(self.search_loc_conv(search), loc_kernels)
        adjust = self.loc_adjust
        with own_precision(boxes):  # boxes keep the precision of the correlation
            deltas = conv2d(boxes, adjust.weight.to(boxes.dtype), adjust.bias.to(boxes.dtype))  # type: ignore[union-attr]
        return logits.unflatten(1, (2, self.anchors)), deltas.unflatten(1, (4, self.anchors))

    def _kernels(self, convolution: nn.Conv2d, template: Tensor) -> Tensor:
        return convolution(template).unflatten(1, (-1, template.shape[1])) * self.corr_scale


class DepthwiseRPN(nn.Module):
    """Anchor scores and box deltas by depth-wise correlation, from one or several levels (SiamRPN++, CVPR 2019)."""

    def __init__(self, levels: Sequence[str], inputs: int, hidden: int, anchors: int):
        """inputs: channels of each level; hidden: channels of the correlation."""
        super().__init__()
        self.anchors = anchors
        self.levels = nn.ModuleDict({level: ScoreAndBox(inputs, hidden, anchors) for level in levels})
        self.cls_weight, self.loc_weight = level_weights(len(levels)), level_weights(len(levels))

    def make_kernels(self, templates: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Of each level [B, C, k + 2, k + 2] -> class and box kernels, each [B, L, C, k, k]"""
        pairs: list[Any] = list(zip(self.levels.values(), templates, strict=True))
        return (
            torch.stack([blocks.cls.conv_kernel(level) for blocks, level in pairs], dim=1),
            torch.stack([blocks.loc.conv_kernel(level) for blocks, level in pairs], dim=1),
        )

    def forward(self, searches: Sequence[Tensor], cls_kernels: Tensor, loc_kernels: Tensor) -> tuple[Tensor, Tensor]:
        """Of each level [B, C, n + k + 1, n + k + 1], and the kernels -> logits [B, 2, A, n, n] (background, target),
        deltas [B, 4, A, n, n]"""
        each: list[Any] = list(
            zip(self.levels.values(), searches, cls_kernels.unbind(1), loc_kernels.unbind(1), strict=True)
        )
        logits = [own.cls.read(own.cls.correlate(kernel, search)) for own, search, kernel, _ in each]
        deltas = [own.loc.read(own.loc.correlate(kernel, search)) for own, search, _, kernel in each]
        return (
            mix_levels(logits, self.cls_weight).unflatten(1, (2, self.anchors)),
            mix_levels(deltas, self.loc_weight).unflatten(1, (4, self.anchors)),
        )
