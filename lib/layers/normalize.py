"""From pixels to network input."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """(pixel / 255 - mean) / std, per modality and channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], modalities: int):
        """mean, std: 3 values for all modalities, or 3 per modality."""
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            table = torch.tensor(values).view(-1, 3)[:modalities].expand(modalities, 3)
            self.register_buffer(name, table[:, :, None, None].clone(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """[B, M, 3, H, W] uint8 -> float, same shape and device"""
        return (image.to(self.mean.dtype) / 255 - self.mean) / self.std


class RawBGR(nn.Module):
    """Pixels without normalisation in BGR order, as the weights of SiamRPN trackers expect them."""

    def forward(self, image: Tensor) -> Tensor:
        """[B, M, 3, H, W] uint8 RGB -> float32 BGR, 0 to 255"""
        return image.flip(2).float()


class GreyInfrared(nn.Module):
    """A normalisation of visible and infrared images that takes the infrared one in grey, whatever colours it was
    stored in."""

    shares: Tensor

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner
        self.register_buffer("shares", torch.tensor([0.299, 0.587, 0.114])[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """[B, 2, 3, H, W] uint8 -> float, same shape and device"""
        visible, infrared = image.unbind(1)
        grey = (infrared * self.shares).sum(1, keepdim=True).round().to(image.dtype)
        return self.inner(torch.stack([visible, grey.expand_as(infrared)], dim=1))


class Centred(nn.Module):
    """Pixels minus 128, as the weights of MDNet expect them."""

    def forward(self, image: Tensor) -> Tensor:
        """Pixels of any shape -> float32, -128 to 127"""
        return image.float() - 128
