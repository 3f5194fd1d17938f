"""Resampling a rectangle of an image to a square by one bilinear interpolation."""

import cv2
import numpy as np


def warp_region(image: np.ndarray, region: np.ndarray, size: int, fill: np.ndarray) -> np.ndarray:
    """Resample `region` to [size, size, C].

    image: [H, W, C] uint8; region: [4] xywh in fractional pixels, where pixel (0, 0) covers 0 to 1 in both directions;
    fill: [C] uint8, colour of the padding.
    """
    scale = size / region[2:]
    # OpenCV's coordinates are those of pixel centres, half a pixel after the pixels' edges.
    shift = (0.5 - region[:2]) * scale - 0.5
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
    planes = [image[..., first : first + 4] for first in range(0, image.shape[2], 4)]  # OpenCV takes four fill values
    fills = [fill[first : first + 4].tolist() for first in range(0, image.shape[2], 4)]
    warped = [
        cv2.warpAffine(plane, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=colour).reshape(size, size, -1)
        for plane, colour in zip(planes, fills, strict=True)
    ]
    return warped[0] if len(warped) == 1 else np.concatenate(warped, axis=2)
