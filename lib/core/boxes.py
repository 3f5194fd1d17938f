"""Boxes: conversions between conventions, and overlaps.

Files and annotations hold `xywh` (top-left corner and size, pixels); networks predict `cxcywh` (centre and size,
fractions of the crop's side); losses compare `xyxy` corners.
"""

from typing import TypeVar

import numpy as np
import torch

Boxes = TypeVar("Boxes", np.ndarray, torch.Tensor)


def xywh_to_cxcywh(box: Boxes) -> Boxes:
    """[..., 4] top-left corner and size -> centre and size."""
    return _join(box[..., :2] + box[..., 2:] / 2, box[..., 2:])


def cxcywh_to_xywh(box: Boxes) -> Boxes:
    """[..., 4] centre and size -> top-left corner and size."""
    return _join(box[..., :2] - box[..., 2:] / 2, box[..., 2:])


def xywh_to_xyxy(box: Boxes) -> Boxes:
    """[..., 4] top-left corner and size -> top-left and bottom-right corners."""
    return _join(box[..., :2], box[..., :2] + box[..., 2:])


def xyxy_to_xywh(box: Boxes) -> Boxes:
    """[..., 4] top-left and bottom-right corners -> top-left corner and size."""
    return _join(box[..., :2], box[..., 2:] - box[..., :2])


def cxcywh_to_xyxy(box: Boxes) -> Boxes:
    """[..., 4] centre and size -> top-left and bottom-right corners."""
    return _join(box[..., :2] - box[..., 2:] / 2, box[..., :2] + box[..., 2:] / 2)


def clip_box(box: np.ndarray, height: int, width: int, margin: float = 10) -> np.ndarray:
    """Clip `xywh` boxes to the image so that at least `margin` pixels of width and height stay inside it.

    box: [..., 4] pixels; returns the same shape. The rule of the OSTrack code base, whose margin is 10.
    """
    x1, y1, x2, y2 = np.moveaxis(xywh_to_xyxy(np.asarray(box, np.float64)), -1, 0)
    x1 = np.minimum(np.maximum(0, x1), width - margin)
    y1 = np.minimum(np.maximum(0, y1), height - margin)
    x2 = np.minimum(np.maximum(margin, x2), width)
    y2 = np.minimum(np.maximum(margin, y2), height)
    return np.stack([x1, y1, np.maximum(margin, x2 - x1), np.maximum(margin, y2 - y1)], axis=-1)


def clip_corners(box: np.ndarray, height: int, width: int, margin: float = 10, least: float = 1) -> np.ndarray:
    """Clip `xywh` boxes to the image by their corners, as Alpha-Refine's code does: the first corner at least `margin`
    pixels before the far border, the second one as far behind the near border. Width and height are at least `least`.

    box: [..., 4] pixels; returns the same shape. Unlike `clip_box` it leaves small boxes inside the image as they are.
    """
    x1, y1, x2, y2 = np.moveaxis(xywh_to_xyxy(np.asarray(box, np.float64)), -1, 0)
    x1, y1 = np.clip(x1, 0, width - margin), np.clip(y1, 0, height - margin)
    x2, y2 = np.clip(x2, margin, width), np.clip(y2, margin, height)
    return np.stack([x1, y1, np.maximum(least, x2 - x1), np.maximum(least, y2 - y1)], axis=-1)


def iou_and_union(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlap of the pairs of two arrays of `xyxy` boxes [..., 4]: intersection over union, and the union's area."""
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    union = _area(a) + _area(b) - overlap
    return overlap / union, union


def generalized_iou(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """GIoU (Rezatofighi et al., CVPR 2019) and IoU of the pairs of two arrays of `xyxy` boxes [..., 4]: two [...]."""
    iou, union = iou_and_union(a, b)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    return iou - (hull - union) / hull, iou


def _area(box: torch.Tensor) -> torch.Tensor:
    return (box[..., 2:] - box[..., :2]).clamp(min=0).prod(-1)  # a corner head may swap its corners


def _join(first: Boxes, second: Boxes) -> Boxes:
    if isinstance(first, torch.Tensor):
        return torch.cat([first, second], dim=-1)
    return np.concatenate([first, second], axis=-1)
