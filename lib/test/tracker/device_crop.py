"""Crops of a whole batch in one operation on the device: only the bytes that a crop shows are sent there.

Bilinear, with the pixel centres of OpenCV's resize; a grey level may differ by one from OpenCV's fixed-point result,
and by more where the frame was decoded smaller than it is. B targets, M modalities, S side of a crop in pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from ...core.geometry import Window


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame as a model reads it."""

    images: list[np.ndarray]  # M times [h, w, 3] uint8 RGB
    size: tuple[int, int]  # height and width in pixels
    reduction: int = 1  # what the images are smaller by, as lib.datasets.image says


def cut_windows(
    frames: Sequence[Frame], windows: Sequence[Window], fills: Sequence[np.ndarray], size: int, device: torch.device
) -> Tensor:
    """The windows of the frames, resized: [B, M, 3, S, S] uint8 on the device; fills: [3 M] uint8 outside the image."""
    regions = [_region(frame, window) for frame, window in zip(frames, windows, strict=True)]
    height = max(2, *(bottom - top for top, bottom, _, _ in regions))
    width = max(2, *(right - left for _, _, left, right in regions))
    modalities = len(frames[0].images)
    pixels = torch.empty(len(frames), modalities, height, width, 3, dtype=torch.uint8, pin_memory=device.type == "cuda")
    places = np.empty((len(frames), 4), np.float32)
    for k, (frame, window, (top, bottom, left, right)) in enumerate(zip(frames, windows, regions, strict=True)):
        target = pixels[k].numpy()
        target[:] = fills[k].reshape(modalities, 1, 1, 3)
        for image, part in zip(frame.images, target, strict=True):
            part[: bottom - top, : right - left] = image[top:bottom, left:right]
        places[k] = window.left, window.top, window.side, frame.reduction
        places[k, :2] -= left * frame.reduction, top * frame.reduction
    colour = torch.from_numpy(np.stack(fills)).to(device).float()[..., None, None]
    shown = pixels.to(device, non_blocking=True).permute(0, 1, 4, 2, 3).flatten(1, 2).float() - colour
    grid = _grid(torch.from_numpy(places).to(device), size, (height, width))
    cut = grid_sample(shown, grid, mode="bilinear", padding_mode="zeros", align_corners=True) + colour
    return cut.round().clamp(0, 255).to(torch.uint8).unflatten(1, (modalities, 3))


def _region(frame: Frame, window: Window) -> tuple[int, int, int, int]:
    """Rows and columns of the images that a window shows: top, bottom, left, right; at least one pixel."""
    spans = []
    for start, extent, pixels in zip((window.top, window.left), frame.size, frame.images[0].shape, strict=False):
        last = min(start + window.side, extent - window.blind) / frame.reduction
        first = min(max(math.floor(start / frame.reduction), 0), pixels - 1)
        spans += [first, min(max(math.ceil(last), first + 1), pixels)]
    return spans[0], spans[1], spans[2], spans[3]


def _grid(places: Tensor, size: int, shape: tuple[int, int]) -> Tensor:
    """Where in its region each crop pixel lies: places [B, 4], left, top, side, reduction -> [B, S, S, 2], 1 the edge.

    left, top: of the window, relative to the region's first pixel; all in frame pixels.
    """
    left, top, side, reduction = places[:, :, None].unbind(1)
    step = torch.arange(size, dtype=torch.float32, device=places.device)
    inside = ((step + 0.5) * side / size - 0.5).clamp(min=0).minimum(side - 1)
    axes = []
    for start, extent in ((left, shape[1]), (top, shape[0])):
        pixel = (start + inside + 0.5) / reduction - 0.5
        axes.append(pixel * (2 / max(extent - 1, 1)) - 1)
    x, y = axes
    return torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=-1)
