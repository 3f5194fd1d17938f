"""Bounding box regression of R-CNN and MDNet in closed form: ridge regression from a box's features.

K boxes, D features. Boxes are [K, 4] xywh, pixels.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ...core.boxes import cxcywh_to_xywh, iou_and_union, xywh_to_cxcywh, xywh_to_xyxy

OVERLAPS = (0.6, 1.0)  # of a box with the true one
AREAS = (1.0, 2.0)  # of a box relative to the true one


class BoxRegressor(NamedTuple):
    """A linear map from features to the change of a box: shift of the centre in sizes of the box, logarithm of the
    change of size."""

    weight: Tensor  # [4, D]
    intercept: Tensor  # [4]


def fit_regressor(features: Tensor, boxes: Tensor, truth: Tensor, alpha: float) -> BoxRegressor | None:
    """The regressor of least squared error plus `alpha` times its squared weights; the intercept is free.

    features [K, D], boxes [K, 4], truth [4]. Only boxes count whose overlap with the truth and relative area lie in
    OVERLAPS and AREAS; None where there are none. Solved in float64, as a system of as many equations as boxes.
    """
    used = is_near(boxes, truth.expand_as(boxes))
    if not used.any():
        return None
    given, true = xywh_to_cxcywh(boxes[used].double()), xywh_to_cxcywh(truth.double())
    change = torch.cat([(true[:2] - given[:, :2]) / given[:, 2:], (true[2:] / given[:, 2:]).log()], dim=1).cpu()
    x = features[used].double().cpu()
    mean, offset = x.mean(0), change.mean(0)
    x, change = x - mean, change - offset
    gram = x @ x.T + alpha * torch.eye(len(x), dtype=x.dtype)
    weight = torch.linalg.solve(gram, change).T @ x
    regressor = BoxRegressor(weight, offset - weight @ mean)
    return BoxRegressor._make(part.to(features.device, features.dtype) for part in regressor)


def regress_boxes(regressor: BoxRegressor, features: Tensor, boxes: Tensor, frame: tuple[int, int]) -> Tensor:
    """More precise boxes: features [K, D], boxes [K, 4] -> [K, 4]. frame: height and width.

    A change that leaves OVERLAPS or AREAS is not made. The top left corner of the result is at least 0, and the result
    ends in the frame.
    """
    change = predict_changes(regressor, features)
    given = xywh_to_cxcywh(boxes)
    centre, size = given[:, :2] + change[:, :2] * given[:, 2:], given[:, 2:] * change[:, 2:].exp()
    moved = cxcywh_to_xywh(torch.cat([centre, size], dim=1))
    moved = torch.where(is_near(boxes, moved)[:, None], moved, boxes)
    corner = moved[:, :2].clamp(min=0)
    room = torch.tensor(frame[::-1], dtype=boxes.dtype, device=boxes.device) - corner
    return torch.cat([corner, torch.minimum(moved[:, 2:], room)], dim=1)


def predict_changes(regressor: BoxRegressor, features: Tensor) -> Tensor:
    """[K, D] -> [K, 4]"""
    return features @ regressor.weight.T + regressor.intercept


def is_near(boxes: Tensor, others: Tensor) -> Tensor:
    """Whether overlap and area of boxes relative to others lie in OVERLAPS and AREAS: [K, 4], [K, 4] -> [K] bool."""
    overlap = iou_and_union(xywh_to_xyxy(boxes), xywh_to_xyxy(others))[0]
    area = boxes[:, 2:].prod(1) / others[:, 2:].prod(1)
    return (overlap >= OVERLAPS[0]) & (overlap <= OVERLAPS[1]) & (area >= AREAS[0]) & (area <= AREAS[1])
