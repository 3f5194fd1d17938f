"""Fusion of two cameras on two levels (SiamDMA): of features, and of decisions, which say where to look for weights.

B targets, L levels of the trunk, C channels of one camera, n score cells and n + 6 features on each side.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

_REDUCTION = 16  # channels over the hidden ones of the channel weights
_HIDDEN = 32  # channels of PaddingConv


class PaddingConv(nn.Sequential):
    """A score map as a mask of the features: [B, 1, n, n] -> [B, 1, n + 6, n + 6]. Values have no limits."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, _HIDDEN, 3, padding=4), nn.ReLU(), nn.Conv2d(_HIDDEN, 1, 5, padding=2))


class Gates(nn.Module):
    """Weights in [0, 1] of channels and of places (CBAM, ECCV 2018). One per time; all levels share it."""

    def __init__(self, channels: int, form: str):
        """form: "mlp", two layers for the weights of channels, or "fc", one."""
        super().__init__()
        if form == "fc":
            self.channel = nn.Sequential(nn.Conv2d(channels, channels, 1))
        else:
            hidden = max(1, channels // _REDUCTION)
            self.channel = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, H, W] -> weights of channels [B, C, 1, 1] and of places [B, 1, H, W]"""
        mean, most = source.mean((2, 3), keepdim=True), source.amax((2, 3), keepdim=True)
        places = torch.cat([source.mean(1, keepdim=True), source.amax(1, keepdim=True)], dim=1)
        return (self.channel(mean) + self.channel(most)).sigmoid(), self.spatial(places).sigmoid()


class DualLevelFusionAttention(nn.Module):
    """Both cameras' features side by side, weighted by channel and by place. At initialisation the weights count
    nothing: the features are only laid side by side."""

    def __init__(self, levels: int, channels: int, form: str = "mlp", residuals: int = 1):
        """channels: of one camera; form: as Gates'; residuals: how often the features themselves are in the sum."""
        super().__init__()
        self.residuals = residuals
        self.template, self.search = Gates(2 * channels, form), Gates(2 * channels, form)
        # Of each level the gain of the channels' weights, then that of the places'.
        self.template_gains = nn.Parameter(torch.zeros(2 * levels))
        self.search_gains = nn.Parameter(torch.zeros(2 * levels))

    def forward(self, template: Tensor, search: Tensor, masks: Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
        """template [B, L, 2, C, 7, 7], search [B, L, 2, C, m, m], masks [B, 2, 1, m, m] -> of each level [B, 2 C, 7, 7]
        and [B, 2 C, m, m]. Masks change what the weights of the search region are computed from, not the features that
        are weighted."""
        source = search if masks is None else masks[:, None].to(search.dtype) * search
        return (
            self._weigh(self.template, self.template_gains, template, template),
            self._weigh(self.search, self.search_gains, source, search),
        )

    def _weigh(
        self, gates: Callable[[Tensor], tuple[Tensor, Tensor]], gains: Tensor, source: Tensor, features: Tensor
    ) -> list[Tensor]:
        weighted = []
        shown, plain = side_by_side(source), side_by_side(features)
        for gain, look, target in zip(gains.view(-1, 2), shown, plain, strict=True):
            channels, places = gates(look)
            weighted.append(self.residuals * target + gain[0] * channels * target + gain[1] * places * target)
        return weighted


def side_by_side(features: Tensor) -> Sequence[Tensor]:
    """[B, L, 2, C, H, W] -> of each level [B, 2 C, H, W]"""
    return features.flatten(2, 3).unbind(1)
