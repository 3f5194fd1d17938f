"""The ResNet of ImageNet (He et al., CVPR 2016), with depths of 18, 34 and 50 layers: the backbone of Alpha-Refine, of
ATOM and the DiMP family, and one of ECO's two.

B images, C channels, S side of an image. Names of weights, paddings and strides are torchvision's. The ResNet-50 of
Siamese trackers, which is dilated, is in resnet.py.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from ...core.errors import InputError
from .resnet import EXPANSION, Bottleneck

#: Depth -> number of blocks in each layer.
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
#: Names of the outputs -> stride.
STRIDES = {"conv1": 2, "layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}
_BASE = 64  # channels of the first convolution


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, each with BatchNorm, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.downsample = None if same else nn.Sequential(_projection(inputs, outputs, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, f, f] -> [B, C', f', f']"""
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ImageNetResNet(nn.Module):
    """The convolutions, without the pooling and the classifier behind them."""

    def __init__(self, depth: int, last: int = 4, width: float = 1.0):
        """depth: of BLOCKS; last: the last layer that is built, 1 to 4; width: multiple of the published channels."""
        super().__init__()
        base = max(1, round(_BASE * width))
        growth = EXPANSION if depth >= 50 else 1
        self.conv1 = nn.Conv2d(3, base, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        #: Name of an output -> its channels.
        self.channels = {"conv1": base}
        inputs = base
        for number, blocks in enumerate(BLOCKS[depth][:last], start=1):
            inner = base * 2 ** (number - 1)
            stride = 1 if number == 1 else 2
            make = _bottleneck if growth > 1 else BasicBlock
            rest = [make(growth * inner, growth * inner) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(make(inputs, growth * inner, stride), *rest))
            self.channels[f"layer{number}"] = inputs = growth * inner

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """[B, 3, S, S] normalised -> the outputs by name, [B, C, S / stride, S / stride] by `channels` and `STRIDES`;
        conv1 is the output of the first convolution's ReLU, before the pooling"""
        x = self.bn1(self.conv1(image)).relu()
        outputs = {"conv1": x}
        x = self.maxpool(x)
        for name in list(self.channels)[1:]:
            x = outputs[name] = self.get_submodule(name)(x)
        return outputs


def read_depth(weights: Mapping[str, Tensor], prefix: str = "") -> int | None:
    """The depth of the ResNet whose weights these are, by its kind of blocks and their number in the first two layers;
    None for another network. prefix: of its keys, with a dot."""
    bottlenecks = f"{prefix}layer1.0.conv3.weight" in weights
    found = []
    for layer in ("layer1", "layer2"):
        blocks = 0
        while f"{prefix}{layer}.{blocks}.conv2.weight" in weights:
            blocks += 1
        found.append(blocks)
    depths = [depth for depth, blocks in BLOCKS.items() if [*blocks[:2]] == found and (depth >= 50) == bottlenecks]
    return depths[0] if depths else None


def timm_resnet(depth: int) -> dict[str, Tensor]:
    """torchvision's ImageNet weights, which timm downloads. Raises InputError where that fails."""
    from ..timm_parts import timm  # importing timm takes a second, which trackers with a ResNet do not need otherwise

    try:
        return timm.create_model(f"resnet{depth}.tv_in1k", pretrained=True).state_dict()
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"MODEL.PRETRAIN_FILE: timm: the weights of ResNet-{depth} cannot be loaded ({reason}); check the "
            "connection, or give a file"
        ) from None


def _bottleneck(inputs: int, outputs: int, stride: int = 1) -> Bottleneck:
    inner = outputs // EXPANSION
    middle = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
    same = stride == 1 and inputs == outputs
    return Bottleneck(inputs, inner, middle, None if same else _projection(inputs, outputs, stride))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
