"""One camera too dark or too bright (SiamDMA): so that a tracker learns which of two cameras to believe.

Everything happens in intermediate crops, [S, S, 3] uint8 with S = 511, around the target. Shares are those of the
author's code.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

Image = np.ndarray
#: Dark or bright, by an amount in [0, 1]: generator, image, signed amount -> image
Operator = Callable[[np.random.Generator, Image, float], Image]

AMOUNT = (150, 225)  # grey levels, whole numbers, the last one not included
LOCAL = 0.6  # share of local changes where one camera alone is changed
BOTH = 0.8  # share of these pairs in which template and search region are changed
BLURRED = 0.2  # share of the local changes that blur instead
REACH = 54  # pixels from the crop's middle to that of a local change, at most, in both directions
SIDES, SMALL_SIDES = (120, 300), (120, 160)  # pixels, of a local change; small ones where both cameras are changed
GAMMAS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)

DARK_ALONE = (0.5, 0.8)  # probability of darkness of the visible and the infrared camera, where one alone is changed
DARK = (0.5, 0.7)  # and where both are
_TEMPLATE, _SEARCH, _VISIBLE, _INFRARED = 0, 1, 0, 1


class Change(NamedTuple):
    """What happens to one of the four images."""

    image: int  # template or search region
    stream: int
    sign: float  # -1 dark, 1 bright
    operator: Operator


def degrade(rng: np.random.Generator, pair: list[list[Image]]) -> list[list[Image]]:
    """The intermediate crops of a pair, [template, search] of [visible, infrared], with one camera dark or bright: the
    visible one (0.4), the infrared one (0.5), one in the template and the other in the search region (0.05), or one in
    both and the other in the search region (0.05)."""
    amount, branch = rng.integers(*AMOUNT) / 255, rng.random()
    if branch < 0.9:
        changes = _one_camera(rng, _VISIBLE if branch < 0.4 else _INFRARED)
    elif branch < 0.95:
        first = int(rng.integers(2))
        changes = _both_cameras(rng, [(_TEMPLATE, first), (_SEARCH, 1 - first)])
    else:
        first = _VISIBLE if rng.random() < 0.7 else _INFRARED
        changes = _both_cameras(rng, [(_TEMPLATE, first), (_SEARCH, first), (_SEARCH, 1 - first)])
    changed = [list(images) for images in pair]
    for image, stream, sign, operator in changes:
        changed[image][stream] = operator(rng, pair[image][stream], sign * amount)
    return changed


def _one_camera(rng: np.random.Generator, stream: int) -> list[Change]:
    sign = -1.0 if rng.random() < DARK_ALONE[stream] else 1.0
    images = [_TEMPLATE, _SEARCH] if rng.random() < BOTH else [int(rng.integers(2))]
    operator: Operator = local_change if rng.random() < LOCAL else global_change
    return [Change(image, stream, sign, operator) for image in images]


def _both_cameras(rng: np.random.Generator, places: list[tuple[int, int]]) -> list[Change]:
    operators: tuple[Operator, Operator] = (local_change, small_change)
    signs = [-1.0 if rng.random() < DARK[stream] else 1.0 for _, stream in places]
    return [Change(image, stream, sign, operators[image]) for (image, stream), sign in zip(places, signs, strict=True)]


def global_change(rng: np.random.Generator, image: Image, amount: float) -> Image:
    """The whole image darker or brighter, after a change of its gamma, and slightly blurred."""
    values = (image / np.float32(255)) ** np.float32(rng.choice(GAMMAS)) + np.float32(amount)
    return cv2.GaussianBlur(_pixels(values), (5, 5), 0)


def local_change(rng: np.random.Generator, image: Image, amount: float, sides: tuple[int, int] = SIDES) -> Image:
    """A spot near the middle darker or brighter, or blurred. sides: range of its width and height."""
    spot = bump(rng, image.shape[0], sides)[..., None]
    values = image / np.float32(255)
    if rng.random() >= BLURRED:
        return _pixels(values + np.float32(amount) * spot)
    kernel, power = int(rng.choice(np.arange(35, 64, 2))), int(rng.integers(3, 5))
    share = spot ** np.float32(1 / power)
    return _pixels(values * (1 - share) + cv2.GaussianBlur(values, (kernel, kernel), 0) * share)


def small_change(rng: np.random.Generator, image: Image, amount: float) -> Image:
    """As `local_change`, of a small spot."""
    return local_change(rng, image, amount, SMALL_SIDES)


def bump(rng: np.random.Generator, size: int, sides: tuple[int, int]) -> np.ndarray:
    """A two-dimensional Hann window of random sides near the middle of a crop: [size, size] float32 in [0, 1]."""
    return np.outer(*(_hann(rng, size, int(rng.integers(*sides))) for _ in range(2)))


def _hann(rng: np.random.Generator, size: int, side: int) -> np.ndarray:
    """[size] with a Hann window of `side` values; places near the middle are more probable."""
    distance = np.arange(-REACH, REACH + 1)
    weight = np.sqrt(REACH + 1.0 - abs(distance))
    start = size // 2 + int(rng.choice(distance, p=weight / weight.sum())) - side // 2
    line = np.zeros(size, np.float32)
    inside = np.arange(max(0, start), min(size, start + side))
    line[inside] = np.hanning(side)[inside - start]
    return line


def _pixels(values: np.ndarray) -> Image:
    """[0, 1] -> uint8, clipped"""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
