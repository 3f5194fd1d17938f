"""Crops of a whole batch in one operation on the device. Only the pixels inside the crops are sent to it.

Bilinear, with the pixel centres of OpenCV's resize. Values may differ by one grey level from OpenCV's fixed-point
result, and by more where the frame was decoded at reduced size. B targets, M modalities, S side of a crop in pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from ...core.frame import Frame
from ...core.upload import upload
from ...core.view import View


def cut_views(pairs: Sequence[tuple[Frame, View]], device: torch.device) -> Tensor:
    """The crops of pairs of frame and view, all of the same size: [B, M, 3, S, S] uint8 on the device."""
    if any(view.others for _, view in pairs):
        return torch.cat([cut_views(_one_image(pairs, number), device) for number in range(len(pairs[0][0].images))], 1)
    regions = [_region(frame, view) for frame, view in pairs]
    height = max(2, *(bottom - top for top, bottom, _, _ in regions))
    width = max(2, *(right - left for _, _, left, right in regions))
    modalities = len(pairs[0][0].images)
    pixels = torch.empty(len(pairs), modalities, height, width, 3, dtype=torch.uint8, pin_memory=device.type == "cuda")
    places = np.empty((len(pairs), 5), np.float32)
    ends = np.full((len(pairs), 2), np.inf, np.float32)  # last column and row that may be sampled
    colours = np.empty((len(pairs), 3 * modalities), np.uint8)
    for k, ((frame, view), (top, bottom, left, right)) in enumerate(zip(pairs, regions, strict=True)):
        colours[k] = 0 if view.fill is None else view.fill
        target = pixels[k].numpy()
        target[:] = colours[k].reshape(modalities, 1, 1, 3)
        for image, part in zip(frame.images, target, strict=True):
            part[: bottom - top, : right - left] = image[top:bottom, left:right]
        places[k] = *view.corner, *view.extent, frame.reduction
        places[k, :2] -= left * frame.reduction, top * frame.reduction
        if view.fill is None:
            ends[k] = right - left - 1, bottom - top - 1
    colour = upload(colours, device).float()[..., None, None]
    shown = upload(pixels, device).permute(0, 1, 4, 2, 3).flatten(1, 2).float() - colour
    grid = _grid(upload(places, device), upload(ends, device), pairs[0][1].size, (height, width))
    cut = grid_sample(shown, grid, mode="bilinear", padding_mode="zeros", align_corners=True) + colour
    return cut.round().clamp(0, 255).to(torch.uint8).unflatten(1, (modalities, 3))


def _one_image(pairs: Sequence[tuple[Frame, View]], number: int) -> list[tuple[Frame, View]]:
    """The pairs for one image of each frame."""
    return [(replace(frame, images=[frame.images[number]]), view.of(number)) for frame, view in pairs]


def _region(frame: Frame, view: View) -> tuple[int, int, int, int]:
    """The rows and columns of the images inside a view: top, bottom, left, right; at least one pixel."""
    spans = []
    axes = zip(view.corner[::-1], view.extent[::-1], frame.size, frame.images[0].shape, strict=False)
    for start, extent, end, pixels in axes:
        last = min(start + extent, end - view.blind) / frame.reduction
        first = min(max(math.floor(start / frame.reduction), 0), pixels - 1)
        spans += [first, min(max(math.ceil(last), first + 1), pixels)]
    return spans[0], spans[1], spans[2], spans[3]


def _grid(places: Tensor, ends: Tensor, size: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """The sampling position of each crop pixel in its region: [B, S, S, 2], where -1 and 1 are the region's borders.

    places: [B, 5] left, top, width, height in frame pixels, left and top relative to the region's first pixel; then the
    reduction. ends: [B, 2] last column and row for views that repeat the border, else infinite. size: width and height
    of the crop; shape: height and width of the largest region.
    """
    left, top, width, height, reduction = places[:, :, None].unbind(1)
    axes = []
    for start, extent, count, pixels, end in (
        (left, width, size[0], shape[1], ends[:, :1]),
        (top, height, size[1], shape[0], ends[:, 1:]),
    ):
        step = torch.arange(count, dtype=torch.float32, device=places.device)
        inside = ((step + 0.5) * extent / count - 0.5).clamp(min=0).minimum(extent - 1)
        pixel = (start + inside + 0.5) / reduction - 0.5
        pixel = torch.where(end < torch.inf, pixel.clamp(min=0).minimum(end), pixel)
        axes.append(pixel * (2 / max(pixels - 1, 1)) - 1)
    x, y = axes
    return torch.stack([x[:, None, :].expand(-1, len(y[0]), -1), y[:, :, None].expand(-1, -1, len(x[0]))], dim=-1)
