"""Blur kernels that imitate those of cameras."""

import cv2
import numpy as np

CROSS = (5, 45)  # pixels, range of odd sides of cross-shaped kernels
MOTION = (3.0, 15.0)  # pixels, range of lengths of linear kernels
_STEPS = 16  # positions per pixel of a line's ends


def cross_kernel(rng: np.random.Generator, sides: tuple[int, int] = CROSS) -> np.ndarray:
    """A cross of random odd size whose weight is split at random between its row and its column; the sum is 1. sides:
    smallest and largest size."""
    size = int(rng.choice(np.arange(sides[0], sides[1] + 1, 2)))
    share = rng.random()
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2] += share / size
    kernel[:, size // 2] += (1 - share) / size
    return kernel


def motion_kernel(rng: np.random.Generator) -> np.ndarray:
    """A line of random length and direction through the middle, as linear motion blurs; the sum is 1."""
    length, angle = rng.uniform(*MOTION), rng.uniform(0, np.pi)
    half = int(np.ceil(length / 2)) + 1
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    start, end = (np.round((half + sign * reach) * _STEPS).astype(int).tolist() for sign in (-1, 1))
    drawn = np.zeros((2 * half + 1,) * 2, np.uint8)
    cv2.line(drawn, start, end, 255, 1, cv2.LINE_AA, shift=4)
    return (drawn / drawn.sum()).astype(np.float32)
