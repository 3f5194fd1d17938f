"""The ResNet-50 of Siamese trackers: stride 8 at every level, by dilation (SiamRPN++, CVPR 2019).

B images, S streams, C channels, f features on each side. Level l is the paper's res{l}, the output of torchvision's
`layer{l - 1}`. Names of weights are torchvision's; pysot has the same. The ResNet of ImageNet is `ImageNetResNet`, in
imagenet_resnet.py.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..batch_invariant import BatchInvariantConv2d

EXPANSION = 4  # output channels of a bottleneck over its inner ones
STRIDE = 8
_BASE = 64  # channels of the first convolution


class Layout(NamedTuple):
    """How one level is built."""

    blocks: int
    stride: int
    dilation: int


#: Level -> its layout. SiamMask has levels 3 and 4 (SiamDMA too), SiamRPN++ also 5.
LAYOUTS = {3: Layout(4, 2, 1), 4: Layout(6, 1, 2), 5: Layout(3, 1, 4)}


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution, each with BatchNorm, and a shortcut."""

    def __init__(self, inputs: int, inner: int, middle: nn.Conv2d, shortcut: nn.Conv2d | None = None):
        """middle: the 3x3 convolution of `inner` channels; shortcut: a projection, where the shape changes."""
        super().__init__()
        outputs = EXPANSION * inner
        self.conv1 = BatchInvariantConv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = middle
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = BatchInvariantConv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None if shortcut is None else nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, f, f] -> [B, 4 inner, f', f']"""
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(y))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNetStem(nn.Module):
    """The first convolution, without padding, and level 2."""

    def __init__(self, width: float = 1.0):
        """width: multiple of ResNet-50's channels."""
        super().__init__()
        base = channels_of(1, width)
        self.conv1 = BatchInvariantConv2d(3, base, 7, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        shortcut = BatchInvariantConv2d(base, EXPANSION * base, 1, bias=False)
        blocks = [Bottleneck(base, base, _middle(base), shortcut)]
        blocks += [Bottleneck(EXPANSION * base, base, _middle(base)) for _ in range(2)]
        self.layer1 = nn.Sequential(*blocks)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, S, S] -> features before the pooling, and level 2: for S of 127, 61 and 31 on each side"""
        early = self.bn1(self.conv1(image)).relu()
        return early, self.layer1(self.maxpool(early))


class ResNetLevels(nn.Module):
    """Level 3 and those behind it. Their projections are 3x3 convolutions like the ones beside them."""

    def __init__(self, last: int = 4, width: float = 1.0):
        """last: the last level, of LAYOUTS; width: as ResNetStem's."""
        super().__init__()
        for level in range(3, last + 1):
            self.add_module(layer_name(level), make_level(level, width))

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Level 2 [B, C, f, f] -> the map of each level; for an image of 127 pixels 15 features on each side"""
        maps = {}
        for number, level in enumerate(self.children(), start=3):
            x = maps[number] = level(x)
        return maps


class ResNetTrunk(nn.Module):
    """The trunk of one or several streams. Streams may share the stem; the levels behind it are their own."""

    def __init__(
        self, last: int = 4, width: float = 1.0, streams: int = 1, shared_stem: bool = True, *, early: bool = False
    ):
        """early: the output also has levels 1, the first convolution before the pooling, and 2."""
        super().__init__()
        self.early = early
        self.shared_stem = shared_stem
        self.stems = nn.ModuleList(ResNetStem(width) for _ in range(1 if shared_stem else streams))
        self.streams = nn.ModuleList(ResNetLevels(last, width) for _ in range(streams))
        self.last = self.stages = self.learning = last  # the first convolution, then the levels from 2 on

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """[B, S, 3, H, H] -> the map of each level from 3 on, [B, S, C, f, f]"""
        if self.shared_stem:
            pair = self.stems[0](images.flatten(0, 1))
            starts = list(zip(*(part.unflatten(0, images.shape[:2]).unbind(1) for part in pair), strict=True))
        else:
            starts = [stem(image) for stem, image in zip(self.stems, images.unbind(1), strict=True)]
        maps = [levels(start[1]) for levels, start in zip(self.streams, starts, strict=True)]
        if self.early:
            maps = [{1: start[0], 2: start[1], **own} for start, own in zip(starts, maps, strict=True)]
        return {level: torch.stack([own[level] for own in maps], dim=1) for level in maps[0]}

    def learn_last(self, stages: int) -> None:
        """Only the last `stages` stages learn (0: none; the stages are the first convolution and the levels); BatchNorm
        in the other stages keeps its running statistics."""
        self.learning = stages
        for number, parts in enumerate(self._by_stage()):
            for part in parts:
                part.requires_grad_(number >= self.stages - stages)
        self.train(self.training)

    def train(self, mode: bool = True) -> "ResNetTrunk":
        """Training mode, only for the stages that learn."""
        super().train(mode)
        for parts in self._by_stage()[: self.stages - self.learning]:
            for part in parts:
                part.eval()
        return self

    def _by_stage(self) -> list[list[nn.Module]]:
        """The modules of each stage."""
        names = [["conv1", "bn1"], ["layer1"], *([layer_name(level)] for level in range(3, self.last + 1))]
        groups = [self.stems, self.stems, *[self.streams] * (self.last - 2)]
        return [
            [part.get_submodule(name) for part in group for name in own]
            for own, group in zip(names, groups, strict=True)
        ]


def channels_of(level: int, width: float = 1.0) -> int:
    """The channels of a level's output; level 1 is the first convolution."""
    base = max(1, round(_BASE * width))
    return base if level == 1 else EXPANSION * base * 2 ** (level - 2)


def layer_name(level: int) -> str:
    """torchvision's name of a level."""
    return f"layer{level - 1}"


def make_level(level: int, width: float = 1.0) -> nn.Sequential:
    """The blocks of a level from 3 on."""
    blocks, stride, dilation = LAYOUTS[level]
    inputs, outputs = channels_of(level - 1, width), channels_of(level, width)
    inner = outputs // EXPANSION
    spread = max(1, dilation // 2)  # the first block of a dilated level has half its dilation
    options: dict[str, Any] = {
        "stride": stride,
        "dilation": spread,
        "padding": spread if stride == 1 else 0,
        "bias": False,
    }
    first = Bottleneck(
        inputs,
        inner,
        BatchInvariantConv2d(inner, inner, 3, **options),
        BatchInvariantConv2d(inputs, outputs, 3, **options),
    )
    return nn.Sequential(first, *(Bottleneck(outputs, inner, _middle(inner, dilation)) for _ in range(blocks - 1)))


def widen_projections(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of torchvision's layout with 1x1 projections as the centres of 3x3 ones; others stay as they are.

    The shortcut then reads the middle of what the 3x3 convolution beside it reads.
    """
    ends = tuple(f"{layer_name(level)}.0.downsample.0.weight" for level in LAYOUTS)
    return {
        key: pad(value, (1, 1, 1, 1)) if key.endswith(ends) and value.shape[2:] == (1, 1) else value
        for key, value in weights.items()
    }


def _middle(inner: int, dilation: int = 1) -> nn.Conv2d:
    return BatchInvariantConv2d(inner, inner, 3, padding=dilation, dilation=dilation, bias=False)
