"""Cross-domain Siamese attention (SiamDMA): features of one image are changed by those of the other camera and of the
other time.

B targets, M modalities (visible, infrared), C channels, N = H W places.
"""

import torch
from torch import Tensor, nn

from ..precision import own_precision
from ..transformer.attention import softmax_attention

REDUCTION = 8  # channels over those of queries and keys
DANET, PLAIN = "danet", "plain"
ROWS, COLUMNS = "rows", "columns"


class SpatialModulation(nn.Module):
    """Places of one image looked at from the places of another. Key, value and gain belong to the changed image."""

    def __init__(self, channels: int, form: str):
        """form: ROWS, a place is the sum of the values that its own query weighs; COLUMNS, the sum of its value as all
        queries weigh it (the product as SiamDMA's paper prints it)."""
        super().__init__()
        self.form = form
        self.key = nn.Conv2d(channels, max(1, channels // REDUCTION), 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, query: Tensor, features: Tensor) -> Tensor:
        """query [B, N, C / 8], features [B, C, H, W] -> what is added to the features, [B, C, H, W]"""
        key, value = tokens(self.key(features)), tokens(self.value(features))
        with own_precision(features):
            query, key, value = (part.float()[:, None] for part in (query, key, value))
            if self.form == ROWS:
                attended = softmax_attention(query, key, value, 1.0)
            else:
                attended = (query @ key.mT).softmax(-1).mT @ value
            changed = self.gain.float() * attended[:, 0].mT
        return changed.unflatten(2, features.shape[2:]).to(features.dtype)


class CrossDomainSiameseAttention(nn.Module):
    """The attention of one level. Each of the four images (two times, two cameras) is the sum of four terms: its places
    seen from itself and from the other camera, its channels from itself and from the other time. Each term has the
    image itself in it, so that at initialisation the result is four times the features."""

    def __init__(self, channels: int, channel_form: str = DANET, spatial_form: str = ROWS, residuals: int = 4):
        """channel_form: DANET, channels unlike a channel weigh most, or PLAIN, those like it; spatial_form: as
        SpatialModulation's; residuals: how often the features are in the sum."""
        super().__init__()
        self.channel_form, self.residuals = channel_form, residuals
        self.queries = nn.ModuleList(nn.Conv2d(channels, max(1, channels // REDUCTION), 1) for _ in range(2))
        self.within = nn.ModuleList(SpatialModulation(channels, spatial_form) for _ in range(2))
        self.across = nn.ModuleList(SpatialModulation(channels, spatial_form) for _ in range(2))
        self.channel_gains = nn.ParameterList(torch.zeros(1) for _ in range(2))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, search: Tensor, template: Tensor, known: Tensor, channels: Tensor) -> tuple[Tensor, Tensor]:
        """search [B, 2, C, H, W], template [B, 2, C, h, w]; known, channels: `look` of the template -> the template and
        the search region after the attention"""
        own, own_channels = self.look(search)
        changed = [self.by_channels(own_channels, template), self.by_channels(channels, search)]
        return known + changed[0], own + changed[1]

    def look(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What is known of an image without the other time: [B, 2, C, H, W] -> the sum of three terms [B, 2, C, H, W],
        and the channel maps by which it changes the other time's, [B, 2, C, C]."""
        channels = channel_map(features, self.channel_form)
        queries = [tokens(query(image)) for query, image in zip(self.queries, features.unbind(1), strict=True)]
        places = [
            self.within[own](queries[own], image) + self.across[own](queries[1 - own], image)
            for own, image in enumerate(features.unbind(1))
        ]
        return self.residuals * features + torch.stack(places, 1) + self.by_channels(channels, features), channels

    def by_channels(self, channels: Tensor, features: Tensor) -> Tensor:
        """What channel maps [B, 2, C, C] add to features [B, 2, C, H, W]."""
        gains = torch.cat(list(self.channel_gains)).float()[:, None, None]
        with own_precision(features):
            changed = gains * (channels.float() @ features.float().flatten(3))
        return changed.unflatten(3, features.shape[3:]).to(features.dtype)


def channel_map(features: Tensor, form: str) -> Tensor:
    """How each channel weighs the others: [..., C, H, W] -> [..., C, C] float32, rows sum to 1. Products of up to a
    thousand places overflow float16."""
    with own_precision(features):
        flat = features.float().flatten(-2)
        energy = flat @ flat.mT
        if form == DANET:
            energy = energy.amax(-1, keepdim=True) - energy
        return energy.softmax(-1)


def tokens(image: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, N, C]"""
    return image.flatten(2).mT
