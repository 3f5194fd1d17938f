"""Alpha-Refine's mask head: fused features are enlarged step by step, with the backbone's finer maps beside them (Yan
et al., CVPR 2021).

B targets, F fused channels, n cells on each side of the fused features, c channels of the backbone's first convolution,
S side of the crop.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate

#: The backbone's maps that the head reads, and the factor of c to which the channels of each are adjusted.
FINER = {"conv1": 1, "layer1": 4, "layer2": 8}

_LEAST = 4  # channels of a layer, in networks that are narrower than the published one


class MaskHead(nn.Module):
    """Three steps from 1/16 of the crop's side to the whole. The names of modules are the published ones."""

    def __init__(self, inputs: int, base: int):
        """inputs: F; base: c."""
        super().__init__()

        def share(part: int) -> int:
            return max(_LEAST, base // part)

        self.v0 = _pair(base, share(4), share(16))
        self.v1 = _pair(4 * base, base, share(4))
        self.v2 = _pair(8 * base, 2 * base, share(2))
        self.h2 = _pair(inputs, share(2), share(2))
        self.h1 = _pair(share(4), share(4), share(4))
        self.h0 = _pair(share(16), share(16), share(16))
        self.post0 = _conv(share(2), share(4))
        self.post1 = _conv(share(4), share(16))
        self.post2 = _conv(share(16), 1)

    def forward(self, features: Tensor, finer: Sequence[Tensor]) -> Tensor:
        """Fused features [B, F, n, n]; finer: adjusted maps in the order of FINER -> logits [B, 1, S, S]"""
        a0, a1, a2 = finer
        x = self.post0(_enlarge(self.h2(features), a2) + self.v2(a2))
        x = self.post1(_enlarge(self.h1(x), a1) + self.v1(a1))
        x = self.post2(_enlarge(self.h0(x), a0) + self.v0(a0))
        return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Adjustments(nn.ModuleList):
    """A 1x1 convolution with BatchNorm for each of the finer maps."""

    def __init__(self, channels: dict[str, int]):
        """channels: of the backbone's maps by name."""
        base = channels["conv1"]
        super().__init__(
            nn.Sequential(nn.Conv2d(channels[name], factor * base, 1), nn.BatchNorm2d(factor * base), nn.ReLU())
            for name, factor in FINER.items()
        )

    def forward(self, maps: dict[str, Tensor]) -> list[Tensor]:
        """The backbone's maps by name -> those of FINER in its order"""
        return [part(maps[name]) for part, name in zip(self, FINER, strict=True)]


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _pair(inputs: int, middle: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, middle), nn.ReLU(), _conv(middle, outputs), nn.ReLU())


def _enlarge(x: Tensor, like: Tensor) -> Tensor:
    return interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)
