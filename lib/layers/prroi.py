"""Precise RoI pooling as two matrix products (Jiang et al., ECCV 2018, "Acquisition of Localization Confidence").

B images, K boxes of an image, C channels, H W cells of the features, P bins on each side of a box.
"""

import torch
from torch import Tensor

from .precision import own_precision


def precise_pool(features: Tensor, boxes: Tensor, bins: int, stride: float) -> Tensor:
    """The mean of the bilinearly interpolated features over each bin of each box: [B, C, H, W], [B, K, 4] -> [B, K, C,
    P, P] in the precision of the features.

    boxes: xyxy in pixels of the image; cell (i, j) of the features lies at pixel (j, i) * stride. Outside the map the
    features are zero. A box without area gives zeros. The gradients to features and boxes are exact.

    The integral of the bilinear kernel is separable, so that the mean over a bin is a weighted sum over rows, and one
    over columns.
    """
    with own_precision(features):
        scaled = boxes.float() if features.dtype != torch.float64 else boxes.double()
        x1, y1, x2, y2 = (scaled / stride).unbind(-1)
        rows = bin_weights(y1, y2, features.shape[2], bins).to(features.dtype)
        columns = bin_weights(x1, x2, features.shape[3], bins).to(features.dtype)
        usable = ((x2 > x1) & (y2 > y1))[..., None, None]
        rows = torch.where(usable, rows, 0)
        reduced = rows.flatten(1, 2) @ features.transpose(1, 2).flatten(2)
        reduced = reduced.unflatten(2, (features.shape[1], -1)).unflatten(1, (-1, bins))
        return (reduced.flatten(2, 3) @ columns.mT).unflatten(2, (bins, -1)).transpose(2, 3)


def bin_weights(start: Tensor, end: Tensor, cells: int, bins: int) -> Tensor:
    """The weight of each cell in each bin along one axis: [B, K] the sides of the boxes in cells -> [B, K, P, cells].
    Boxes that end before they start have arbitrary finite weights."""
    extent = (end - start) / bins
    extent = torch.where(extent > 0, extent, 1)[..., None, None]
    first = start[..., None, None] + extent * torch.arange(bins, device=start.device)[:, None]
    places = torch.arange(cells, device=start.device)
    return (_hat_integral(first + extent - places) - _hat_integral(first - places)) / extent


def _hat_integral(t: Tensor) -> Tensor:
    """The integral of the bilinear kernel max(0, 1 - |t|) up to t, for any shape."""
    t = t.clamp(-1, 1)
    return 0.5 + t - t.abs() * t / 2
