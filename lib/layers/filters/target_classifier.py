"""DiMP's classifier: features, a first filter and its optimiser (ICCV 2019, section 3). Names of weights are the public
files'.

B targets, N images of a target, C channels, H W cells of the features, k side of a filter. Boxes are xywh, pixels.
"""

import math

from torch import Tensor, nn

from ..trunks.imagenet_resnet import BasicBlock
from .steepest_descent import SteepestDescent
from .target_filter import FilterInitializer, InstanceL2Norm


class TargetClassifier(nn.Module):
    """Learns a filter from images of a target."""

    def __init__(self, inputs: int, channels: int, size: int, optimizer: SteepestDescent, *, blocks: int = 0):
        """inputs: channels of the backbone's map of stride 16; channels: of the filter; size: k; blocks: residual
        blocks before the last convolution."""
        super().__init__()
        self.size = size
        self.filter_initializer = FilterInitializer(channels, size, optimizer.stride)
        self.filter_optimizer = optimizer
        last = nn.Conv2d(inputs, channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(last.weight)
        norm = InstanceL2Norm(math.sqrt(1 / (channels * size * size)))
        self.feature_extractor = nn.Sequential(*(BasicBlock(inputs, inputs) for _ in range(blocks)), last, norm)

    def extract(self, coarse: Tensor) -> Tensor:
        """The backbone's map of stride 16, [..., C', H, W] -> features [..., C, H, W] in float32 or better"""
        features: Tensor = self.feature_extractor(coarse.flatten(0, -4))
        return features.unflatten(0, coarse.shape[:-3])

    def learn(self, features: Tensor, boxes: Tensor, iterations: int) -> list[Tensor]:
        """The first filter and those after each iteration, [B, C, k, k]: features [B, N, C, H, W], boxes [B, N, 4]"""
        first = self.filter_initializer(features, boxes)
        return self.filter_optimizer(first, features, boxes, iterations=iterations).filters
