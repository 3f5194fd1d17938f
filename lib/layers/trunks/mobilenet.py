"""MobileNetV2 (Sandler et al., CVPR 2018) with stride 8 at every level, by dilation: a trunk of SiamRPN++ (CVPR 2019).

B images, S streams, C channels, f features on each side. Names of weights are pysot's.
"""

from typing import NamedTuple

from torch import Tensor, nn

_STEM = 32  # channels of the first convolution


class Layout(NamedTuple):
    """How a layer is built: several inverted residual blocks."""

    expansion: int  # hidden channels over input channels
    channels: int
    blocks: int
    stride: int
    dilation: int


LAYERS = (
    Layout(1, 16, 1, 1, 1),
    Layout(6, 24, 2, 2, 1),
    Layout(6, 32, 3, 2, 1),
    Layout(6, 64, 4, 1, 2),
    Layout(6, 96, 3, 1, 2),
    Layout(6, 160, 3, 1, 4),
    Layout(6, 320, 1, 1, 4),
)
#: Level of the trunk -> number of the layer whose output it is.
LEVELS = {3: 3, 4: 5, 5: 7}


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise 3x3 convolution, 1x1 projection; the input is added where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, dilation: int):
        super().__init__()
        hidden = inputs * expansion
        padding = dilation if dilation > 1 else 2 - stride  # a stride of 2 has no padding
        middle = nn.Conv2d(hidden, hidden, 3, stride, padding, dilation, groups=hidden, bias=False)
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            middle, nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, f, f] -> [B, C', f', f']"""
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetTrunk(nn.Module):
    """The trunk of one stream or of several that share it."""

    stages = len(LAYERS) + 1

    def __init__(self, last: int = 5, width: float = 1.4):
        """last: the last level, of LEVELS; width: multiple of the channels, 1.4 in pysot."""
        super().__init__()
        self.last, self.learning = last, self.stages
        inputs, before = scale(_STEM, width), 1
        first = nn.Conv2d(3, inputs, 3, stride=2, bias=False)
        self.layer0 = nn.Sequential(first, nn.BatchNorm2d(inputs), nn.ReLU6())
        for number, plan in enumerate(LAYERS[: LEVELS[last]], start=1):
            outputs, blocks = scale(plan.channels, width), []
            for block in range(plan.blocks):
                # The first block of a layer with more dilation than the one before has half of it.
                dilation = plan.dilation if block or plan.dilation == before else max(plan.dilation // 2, 1)
                stride = 1 if block else plan.stride
                blocks.append(InvertedResidual(inputs, outputs, plan.expansion, stride, dilation))
                inputs = outputs
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            before = plan.dilation
        self.stages = self.learning = len(list(self.children()))

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """[B, S, 3, H, H] -> the map of each level, [B, S, C, f, f]"""
        x, outputs = images.flatten(0, 1), []
        for layer in self.children():
            x = layer(x)
            outputs.append(x)
        return {
            level: outputs[number].unflatten(0, images.shape[:2])
            for level, number in LEVELS.items()
            if number < len(outputs)
        }

    def learn_last(self, stages: int) -> None:
        """Only the last `stages` layers learn (0: none); BatchNorm in the others keeps its running statistics."""
        self.learning = stages
        for number, layer in enumerate(self.children()):
            layer.requires_grad_(number >= self.stages - stages)
        self.train(self.training)

    def train(self, mode: bool = True) -> "MobileNetTrunk":
        """Training mode, only for the layers that learn."""
        super().train(mode)
        for layer in list(self.children())[: self.stages - self.learning]:
            layer.eval()
        return self


def scale(channels: int, width: float) -> int:
    """The channels of a layer, rounded down as in pysot.

    >>> [scale(LAYERS[number - 1].channels, 1.4) for number in LEVELS.values()]
    [44, 134, 448]
    """
    return max(1, int(channels * width))
