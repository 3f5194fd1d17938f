"""IoU-Net that is modulated by a target (ATOM, CVPR 2019, section 3.1): how well boxes fit it. DiMP and PrDiMP use it,
too; PrDiMP reads its output as the logarithm of a density (CVPR 2020).

B targets, K boxes of a target, C channels, S side of the images in pixels. Boxes are xywh, pixels of their image.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...core.boxes import xywh_to_xyxy
from ..precision import at_least_float32, own_precision
from ..prroi import precise_pool

FINE, COARSE = 8, 16  # strides of the two feature maps
_FINE_BINS, _COARSE_BINS = 5, 3  # of the pooled boxes, on each side


class Modulation(NamedTuple):
    """What the network keeps of a target: a factor for each channel of a search region's features."""

    fine: Tensor  # [B, C]
    coarse: Tensor  # [B, C]


class IoUFeatures(NamedTuple):
    """What the network computes from an image once, for any number of boxes."""

    fine: Tensor  # [B, C, S / 8, S / 8]
    coarse: Tensor  # [B, C, S / 16, S / 16]


class IoUNet(nn.Module):
    """Predicts the IoU of boxes with a target; unbounded. Names of weights are the public files'."""

    def __init__(self, fine: int, coarse: int, channels: int = 256):
        """fine, coarse: channels of the backbone's maps of stride 8 and 16; channels: of the network itself."""
        super().__init__()
        self.conv3_1r = _convolution(fine, channels // 2)
        self.conv3_1t = _convolution(fine, channels)
        self.conv3_2t = _convolution(channels, channels)
        self.fc3_1r = _convolution(channels // 2, channels, padding=0)
        self.conv4_1r = _convolution(coarse, channels)
        self.conv4_1t = _convolution(coarse, channels)
        self.conv4_2t = _convolution(channels, channels)
        self.fc34_3r = _convolution(2 * channels, channels, size=1, padding=0)
        self.fc34_4r = _convolution(2 * channels, channels, size=1, padding=0)
        self.fc3_rt = LinearBlock(channels * _FINE_BINS**2, channels)
        self.fc4_rt = LinearBlock(channels * _COARSE_BINS**2, channels)
        self.iou_predictor = nn.Linear(2 * channels, 1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, mode="fan_in")
                module.bias = nn.Parameter(torch.zeros(len(module.weight)))

    def modulate(self, fine: Tensor, coarse: Tensor, boxes: Tensor) -> Modulation:
        """The backbone's maps [B, C, S / 8, S / 8] and [B, C, S / 16, S / 16] of images with the targets, and the
        targets' boxes [B, 4] -> Modulation"""
        corners = xywh_to_xyxy(boxes)[:, None]
        near = self.fc3_1r(precise_pool(self.conv3_1r(fine), corners, 3, FINE)[:, 0])
        far = precise_pool(self.conv4_1r(coarse), corners, 1, COARSE)[:, 0]
        both = torch.cat([near, far], dim=1)
        return Modulation(self.fc34_3r(both).flatten(1), self.fc34_4r(both).flatten(1))

    def embed(self, fine: Tensor, coarse: Tensor) -> IoUFeatures:
        """The backbone's maps of search regions -> IoUFeatures"""
        return IoUFeatures(self.conv3_2t(self.conv3_1t(fine)), self.conv4_2t(self.conv4_1t(coarse)))

    def forward(self, modulation: Modulation, features: IoUFeatures, boxes: Tensor) -> Tensor:
        """The predicted IoU of boxes [B, K, 4] in search regions -> [B, K] in float32 at least. It is differentiable in
        the boxes."""
        corners = xywh_to_xyxy(boxes)
        with own_precision(boxes):
            fine, coarse = (
                at_least_float32(seen) * at_least_float32(factor)[..., None, None]
                for seen, factor in zip(features, modulation, strict=True)
            )
            near = precise_pool(fine, corners, _FINE_BINS, FINE)
            far = precise_pool(coarse, corners, _COARSE_BINS, COARSE)
            both = torch.cat([self.fc3_rt(near.flatten(0, 1)), self.fc4_rt(far.flatten(0, 1))], dim=1)
            return self.iou_predictor(both).view(boxes.shape[:-1])


class LinearBlock(nn.Module):
    """Linear layer, BatchNorm and ReLU."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, ...] -> [N, outputs]"""
        return self.bn(self.linear(x.flatten(1))).relu()


def _convolution(inputs: int, outputs: int, size: int = 3, padding: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU())
