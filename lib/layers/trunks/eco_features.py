"""ECO's features: the first convolution of VGG-M and the third layer of a ResNet-18 (PyTracking's ECO).

B images, C channels, S side of an image.
"""

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

STRIDES = (4, 16)  # pixels of the image per cell of the shallow and of the deep map
SHALLOW = 96  # channels of VGG-M's first convolution


class VGGMFirst(nn.Conv2d):
    """VGG-M's first convolution with its normalisation: stride 2."""

    def __init__(self, width: float = 1.0):
        """width: multiple of the published channels."""
        super().__init__(3, max(1, round(SHALLOW * width)), 7, stride=2, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, S, S] normalised -> [B, C, S / 2, S / 2]"""
        return normalize_locally(super().forward(x).relu())


def normalize_locally(x: Tensor) -> Tensor:
    """x / (2 + 5e-4 mean)^0.75, with the mean square of the five channels around; those that are missing count as 0:
    [B, C, n, n] -> same shape. The same as `nn.LocalResponseNorm`, in less time on a processor."""
    squares = pad(x.square(), (0, 0, 0, 0, 2, 2))
    total = squares[:, 4:] + squares[:, 3:-1] + squares[:, 2:-2] + squares[:, 1:-3] + squares[:, :-4]
    root = (2 + 1e-4 * total).rsqrt()
    return x * root * root.sqrt()


def pool_halves(features: Tensor) -> Tensor:
    """The mean of 2 x 2 cells."""
    return avg_pool2d(features, 2)


def normalize_power(features: Tensor) -> Tensor:
    """Divided by the root mean square of the whole map: [B, C, n, n] -> same shape."""
    return features / (features.square().mean((1, 2, 3), keepdim=True) + 1e-10).sqrt()
