"""Closed random outlines, and the exact extent of a soft mask."""

import cv2
import numpy as np


def closed_spline(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A random free-form mask that fills its [height, width] image: uint8, soft edges.

    The outline is a closed curve in polar form, r(angle) = 1 + a few random harmonics: smooth like a real
    object's silhouette, never self-crossing.
    """
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    harmonics = np.arange(2, 7)
    strength = rng.normal(0, rng.uniform(0.05, 0.28), 5) / np.sqrt(harmonics - 1)
    phase = rng.uniform(0, 2 * np.pi, 5)
    radius = np.clip(1 + (strength * np.cos(harmonics * angle[:, None] + phase)).sum(1), 0.35, 2)
    power = rng.uniform(0.5, 1)  # 1: round corners, 0.5: nearly a rectangle
    direction = np.stack([np.cos(angle), np.sin(angle)], 1)
    points = np.sign(direction) * np.abs(direction) ** power * radius[:, None]
    low, high = points.min(0), points.max(0)
    points = 1 + (points - low) / (high - low) * (np.array([width, height]) - 3)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return mask


def mask_points(mask: np.ndarray) -> np.ndarray:
    """Convex hull [P, 2] (x, y; pixel centres are whole numbers) of where a bilinear mask exceeds one half.

    mask: [h, w] uint8, 0 on its border. The crossings are found between neighbouring pixels by linear
    interpolation, so that a warped mask's box follows from its warped hull to a fraction of a pixel.
    """
    value = mask.astype(np.float32) - 127.5
    rows, columns = np.nonzero((value[:, 1:] > 0) != (value[:, :-1] > 0))
    first, second = value[rows, columns], value[rows, columns + 1]
    across = np.stack([columns + first / (first - second), rows], 1)
    rows, columns = np.nonzero((value[1:] > 0) != (value[:-1] > 0))
    first, second = value[rows, columns], value[rows + 1, columns]
    down = np.stack([columns, rows + first / (first - second)], 1)
    points = np.concatenate([across, down]).astype(np.float32)
    return cv2.convexHull(points)[:, 0]
