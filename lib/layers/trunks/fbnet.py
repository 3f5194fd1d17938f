"""FBNet-C up to stride 16, the trunk of FEAR (Wu et al., CVPR 2019; Borsuk et al., ECCV 2022). B images, C channels."""

from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from ..batch_invariant import BatchInvariantConv2d
from .alexnet import Trunk


class BlockPlan(NamedTuple):
    """An inverted residual block."""

    hidden: int  # channels of the depthwise convolution
    kernel: int
    stride: int
    channels: int  # of the output


STEM = 16  # channels of the first convolution
#: The blocks, with the published numbers of channels.
BLOCKS = (
    BlockPlan(16, 3, 1, 16),
    BlockPlan(96, 3, 2, 24),
    BlockPlan(24, 3, 1, 24),
    BlockPlan(24, 3, 1, 24),
    BlockPlan(144, 5, 2, 32),
    BlockPlan(96, 5, 1, 32),
    BlockPlan(192, 5, 1, 32),
    BlockPlan(192, 3, 1, 32),
    BlockPlan(192, 5, 2, 64),
    BlockPlan(192, 5, 1, 64),
    BlockPlan(384, 5, 1, 64),
    BlockPlan(384, 5, 1, 64),
    BlockPlan(384, 5, 1, 112),
    BlockPlan(672, 5, 1, 112),
    BlockPlan(672, 5, 1, 112),
    BlockPlan(336, 5, 1, 112),
)
#: First block of each stage after the stem: one for each resolution, and the wider blocks at the end.
STAGES = (0, 1, 4, 8, 12)


class ConvNorm(nn.Sequential):
    """A convolution without change of size (but for its stride), BatchNorm where it is asked for, ReLU likewise."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1,
        *, norm: bool = False, relu: bool = False,
    ):  # fmt: skip
        convolution = BatchInvariantConv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
        parts: list[nn.Module] = [convolution]
        parts += [nn.BatchNorm2d(outputs)] if norm else []
        parts += [nn.ReLU()] if relu else []
        super().__init__(*parts)


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; the input is added where the shapes agree (MobileNetV2)."""

    def __init__(self, inputs: int, plan: BlockPlan, *, norm: bool):
        super().__init__()
        hidden = plan.hidden
        layers: list[nn.Module] = []
        if hidden != inputs:
            layers.append(ConvNorm(inputs, hidden, norm=norm, relu=True))
        layers.append(ConvNorm(hidden, hidden, plan.kernel, plan.stride, hidden, norm=norm, relu=True))
        layers.append(ConvNorm(hidden, plan.channels, norm=norm))
        self.layers = nn.Sequential(*layers)
        self.residual = plan.stride == 1 and inputs == plan.channels

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, f, f] -> [B, C', f', f']"""
        return x + self.layers(x) if self.residual else self.layers(x)


class FBNetTrunk(Trunk):
    """FBNet-C's first sixteen blocks and a 1x1 convolution to the channels of the head.

    Published weights have BatchNorm folded into the convolutions. Its convolutions pad with zeros, so features near the
    border of the crop depend on the border.
    """

    stride, first, stages = 16, 0, len(STAGES) + 2

    def __init__(self, channels: int, width: float = 1.0, *, norm: bool = False):
        """channels: C; width: multiple of the published channels of the blocks; norm: BatchNorm after each convolution
        of the blocks, for training from scratch."""
        super().__init__()
        self.channels = channels
        scaled = [
            plan._replace(hidden=_scale(plan.hidden, width), channels=_scale(plan.channels, width)) for plan in BLOCKS
        ]
        sizes = [_scale(STEM, width), *(plan.channels for plan in scaled)]
        self.stem = ConvNorm(3, sizes[0], 3, 2, norm=norm, relu=True)
        self.blocks = nn.Sequential(
            *(InvertedResidual(inputs, plan, norm=norm) for inputs, plan in zip(sizes, scaled, strict=False))
        )
        self.neck = BatchInvariantConv2d(sizes[-1], channels, 1)
        self.learning = self.stages

    def forward(self, image: Tensor) -> Tensor:
        """[B, 3, S, S] -> [B, C, S / 16, S / 16]"""
        return self.neck(self.blocks(self.stem(image)))

    def learn_last(self, stages: int) -> None:
        """Only the last `stages` stages learn (0 to 7: stem, five stages of blocks, neck)."""
        self.learning = stages
        for number, part in enumerate(self.parts()):
            part.requires_grad_(number >= self.stages - stages)
        self.train(self.training)

    def train(self, mode: bool = True) -> "FBNetTrunk":
        """Training mode, only for the stages that learn."""
        super().train(mode)
        for part in self.parts()[: self.stages - self.learning]:
            part.eval()
        return self

    def parts(self) -> list[nn.Module]:
        """The modules of each stage."""
        spans = pairwise((*STAGES, len(self.blocks)))
        return [self.stem, *(self.blocks[first:last] for first, last in spans), self.neck]


def _scale(channels: int, width: float) -> int:
    return max(1, round(channels * width))
