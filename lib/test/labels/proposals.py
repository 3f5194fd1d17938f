"""Boxes to start from in one frame of an unlabelled video: warm blobs and moving things."""

from collections.abc import Sequence

import cv2
import numpy as np

BACKGROUND_FRAMES = 25  # frames whose median is the background of a static camera
BLUR = 1 / 16  # of the frame's height: the blur of the background that a warm blob is brighter than
WARMER = 45  # grey levels that a warm blob is brighter than its background, at least
MOVED = 20  # grey levels that a moving thing differs from the background of its camera, at least
MOST_MOVING = 0.3  # share of a frame; where more moves, the camera moves
LEAST_SIDES = 1 / 60, 1 / 28  # width and height of a box over the frame's height, at least
MOST_SIDE = 0.6  # width and height over the frame's height, at most
LEAST_FILLED = 0.3  # share of the box that the region covers
WARM_SHAPES, MOVING_SHAPES = (1.2, 4.5), (0.4, 4.5)  # height over width: a person's; anybody's and a car's
INSIDE = 0.6  # share of the smaller of two proposals from which they are one
JOINED = 1 / 20  # of the frame's height: gaps, such as a cold jacket, that are closed between the parts of one region


def grey(image: np.ndarray) -> np.ndarray:
    """[H, W] float32 brightness of [H, W, 3] uint8 RGB."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)


def background_of(images: Sequence[np.ndarray]) -> np.ndarray:
    """[H, W] float32: what a static camera sees where nothing moves."""
    return np.median(np.stack([grey(image) for image in images]), axis=0).astype(np.float32)


def warm_boxes(image: np.ndarray) -> np.ndarray:
    """[N, 4] xywh: regions of a thermal image that are clearly brighter than the blurred image, of a person's shape."""
    bright = grey(image)
    wide = cv2.GaussianBlur(bright, (0, 0), image.shape[0] * BLUR)
    return _regions(bright - wide > WARMER, WARM_SHAPES)


def moving_boxes(image: np.ndarray, background: np.ndarray) -> np.ndarray:
    """[N, 4] xywh: regions that differ from the background; none where the camera moves."""
    differs = np.abs(cv2.GaussianBlur(grey(image) - background, (0, 0), 1.0)) > MOVED
    if differs.mean() > MOST_MOVING:
        return np.zeros((0, 4))
    return _regions(differs, MOVING_SHAPES)


def distinct(boxes: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """The boxes [N, 4] that neither cover nor lie in a better one or one of `taken` [K, 4]; upright and large ones are
    better than wide ones, which are groups, and small ones, which are parts."""
    wide = boxes[:, 3] < WARM_SHAPES[0] * boxes[:, 2]
    kept = list(taken)
    for box in boxes[np.lexsort((-boxes[:, 2:].prod(1), wide))]:
        if all(_inside(box, other) < INSIDE for other in kept):
            kept.append(box)
    return np.array(kept[len(taken) :]).reshape(-1, 4)


def _inside(one: np.ndarray, two: np.ndarray) -> float:
    shared = np.minimum(one[:2] + one[2:], two[:2] + two[2:]) - np.maximum(one[:2], two[:2])
    return float(np.maximum(0, shared).prod() / max(1e-9, min(one[2:].prod(), two[2:].prod())))


def _regions(mask: np.ndarray, shapes: tuple[float, float]) -> np.ndarray:
    height = mask.shape[0]
    upright = cv2.getStructuringElement(cv2.MORPH_RECT, (3, max(3, round(height * JOINED)) | 1))
    joined = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, upright)
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    boxes, areas = stats[1:, :4].astype(np.float64), stats[1:, 4]
    w, h = boxes[:, 2], boxes[:, 3]
    usable = (w >= LEAST_SIDES[0] * height) & (h >= LEAST_SIDES[1] * height) & (np.maximum(w, h) <= MOST_SIDE * height)
    usable &= (h / w >= shapes[0]) & (h / w <= shapes[1]) & (areas >= LEAST_FILLED * w * h)
    return boxes[usable]
