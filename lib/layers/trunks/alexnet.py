"""Convolutional trunks of Siamese trackers. B images, C channels, f features on each side.

No layer pads, so the features of an object do not depend on its place in the image.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Trunk(nn.Module, ABC):
    """The interface of a trunk. Feature i is centred on input pixel first + stride * i."""

    channels: int  # C
    stride: int  # input pixels per feature
    first: int  # input pixel at the centre of feature 0
    stages: int  # number of stages, which can learn separately

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """[B, 3, S, S] -> [B, C, f, f]"""

    @abstractmethod
    def learn_last(self, stages: int) -> None:
        """Only the last `stages` stages learn (0: none); BatchNorm in the other stages keeps its running statistics."""


class AlexNetTrunk(Trunk):
    """The AlexNet of the SiamRPN family: five convolutions, total stride 8 (Li et al., CVPR 2018).

    The receptive field is 87 pixels. The indices in `features` are those of the public keys.
    """

    stride, first, stages = 8, 43, 5
    #: Indices of the convolution and the BatchNorm of each stage.
    LAYERS = ((0, 1), (4, 5), (8, 9), (11, 12), (14, 15))

    def __init__(self, width: float):
        """width: multiple of the channels 96, 256, 384, 384, 256; 1 and 2 are the published ones."""
        super().__init__()
        c1, c2, c3, c4, c5 = (max(1, round(channels * width)) for channels in (96, 256, 384, 384, 256))
        self.channels = c5
        self.features = nn.Sequential(
            nn.Conv2d(3, c1, 11, stride=2), nn.BatchNorm2d(c1), nn.MaxPool2d(3, stride=2), nn.ReLU(),
            nn.Conv2d(c1, c2, 5), nn.BatchNorm2d(c2), nn.MaxPool2d(3, stride=2), nn.ReLU(),
            nn.Conv2d(c2, c3, 3), nn.BatchNorm2d(c3), nn.ReLU(),
            nn.Conv2d(c3, c4, 3), nn.BatchNorm2d(c4), nn.ReLU(),
            nn.Conv2d(c4, c5, 3), nn.BatchNorm2d(c5),
        )  # fmt: skip
        self.learning = self.stages

    def forward(self, image: Tensor) -> Tensor:
        """[B, 3, S, S] -> [B, C, f, f] with f = 6 + (S - 127) / 8"""
        return self.features(image)

    def learn_last(self, stages: int) -> None:
        """Only the last `stages` stages learn (0 to 5); BatchNorm in the other stages keeps its running statistics."""
        self.learning = stages
        for number, layers in enumerate(self.LAYERS):
            for index in layers:
                self.features[index].requires_grad_(number >= self.stages - stages)
        self.train(self.training)

    def train(self, mode: bool = True) -> "AlexNetTrunk":
        """Training mode, only for the stages that learn."""
        super().train(mode)
        for _, norm in self.LAYERS[: self.stages - self.learning]:
            self.features[norm].eval()
        return self
