"""RoIAlign in plain torch: bilinear samples of boxes, then a maximum (RT-MDNet, ECCV 2018).

B images, K boxes, C channels, h x w map, n samples on each side of a box.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, max_pool2d

SAMPLES = 7  # on each side; 3 x 3 maxima with a step of 2 leave 3
_CHUNK = 512  # boxes that are sampled at once, which bounds the memory


class AxisSamples(NamedTuple):
    """Where samples lie on one axis: between two pixels each."""

    low: Tensor  # [..., n] int64 index of the lower pixel
    high: Tensor  # [..., n] int64 index of the upper pixel
    share: Tensor  # [..., n] weight of the upper pixel
    inside: Tensor  # [..., n] bool; outside the map a sample is 0


def place_samples(start: Tensor, end: Tensor, count: int, size: int) -> AxisSamples:
    """The samples of plain RoIAlign, as the published RT-MDNet computes them: [...], [...] -> [..., n].

    start, end: edges in pixels of the axis. The step is (end - start + 1) / (n - 1), both ends included. The lower
    pixel is at most size - 2, so that a sample beyond the last pixel extends the last slope.
    """
    steps = torch.arange(count, dtype=start.dtype, device=start.device)
    place = start[..., None] + steps * ((end - start + 1) / (count - 1))[..., None]
    low = place.floor().clamp(max=size - 2)
    first = low.clamp(min=0).long()
    return AxisSamples(first, first + 1, place - low, (place >= 0) & (place < size))


def place_adaptive_samples(start: Tensor, end: Tensor, count: int, size: int) -> AxisSamples:
    """The samples of adaptive RoIAlign (RT-MDNet, section 3.2): [...], [...] -> [..., n].

    Each sample lies in the middle of one of n bins of (end - start + 1) / n pixels, and is interpolated between two
    pixels that are round(bin) apart (at least 1), as even about it as whole pixels allow. The paper gives no formula
    for the pixels; for a bin of one pixel this is bilinear interpolation.
    """
    steps = torch.arange(count, dtype=start.dtype, device=start.device) + 0.5
    width = (end - start + 1) / count
    place = start[..., None] + steps * width[..., None] - 0.5
    apart = width.round().clamp(1, max(1, size - 1))[..., None]
    low = (place - (apart - 1) / 2).floor().clamp(min=0).minimum(size - 1 - apart)
    share = ((place - low) / apart).clamp(0, 1)
    return AxisSamples(low.long(), (low + apart).long(), share, (place >= 0) & (place < size))


def roi_align(
    features: Tensor, boxes: Tensor, scale: float, adaptive: bool = False, image: Tensor | None = None
) -> Tensor:
    """Samples of boxes: features [B, C, h, w], boxes [K, 4] x1 y1 x2 y2 in pixels of the input -> [K, C, 7, 7].

    scale: cells per pixel of the input; image: [K] int64 the image of each box, None: the first. No gradients.
    """
    height, width = features.shape[2:]
    place = place_adaptive_samples if adaptive else place_samples
    x1, y1, x2, y2 = (boxes * scale).unbind(1)
    x, y = place(x1, x2, SAMPLES, width), place(y1, y2, SAMPLES, height)
    corners, weights = [], []
    for row, row_weight in ((y.low, 1 - y.share), (y.high, y.share)):
        for column, column_weight in ((x.low, 1 - x.share), (x.high, x.share)):
            corners.append(row[:, :, None] * width + column[:, None])
            weights.append(row_weight[:, :, None] * column_weight[:, None])
    inside = y.inside[:, :, None] & x.inside[:, None]
    index, weight = torch.stack(corners, -1), torch.stack(weights, -1) * inside[..., None]
    if image is not None:
        index = index + image[:, None, None, None] * (height * width)
    table = features.detach().permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    shares = weight.view(-1, 4).to(table.dtype)
    flat = embedding_bag(index.view(-1, 4), table, per_sample_weights=shares, mode="sum")
    return flat.view(len(boxes), SAMPLES, SAMPLES, -1).permute(0, 3, 1, 2)


def pool_boxes(features: Tensor, boxes: Tensor, scale: float, adaptive: bool = False) -> Tensor:
    """As `roi_align` in one image, then the largest of 3 x 3 samples with a step of 2: [K, 4] -> [K, C, 3, 3]."""
    parts = boxes.split(_CHUNK) if len(boxes) else [boxes]
    return torch.cat([max_pool2d(roi_align(features, part, scale, adaptive), 3, 2) for part in parts])


def resample(image: Tensor, box: Tensor, size: tuple[int, int]) -> Tensor:
    """A box of an image as another size, by the samples of `place_samples`: [C, H, W], [4] xywh -> [C, h, w].

    size: width and height of the result, at least 2 each. 0 outside the image.
    """
    x, y, w, h = box.unbind()
    columns = place_samples(x, x + w, size[0], image.shape[2])
    rows = place_samples(y, y + h, size[1], image.shape[1])
    image = image[:, rows.low] * (1 - rows.share)[:, None] + image[:, rows.high] * rows.share[:, None]
    image = image[:, :, columns.low] * (1 - columns.share) + image[:, :, columns.high] * columns.share
    return image * (rows.inside[:, None] & columns.inside)
