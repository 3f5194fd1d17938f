"""Infrared images from visible ones, with heat that is independent of colour.

A surface is split into a few regions (bands of a random colour mix, bands of position), each region gets its own
temperature, and the result is blurred, as thermal images are.
"""

import cv2
import numpy as np

from .texture import fractal


def channel_mix(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A random mix of the colour channels, negative weights included: [H, W, 3] uint8 -> [H, W] uint8."""
    weight = rng.dirichlet(np.ones(3)) + rng.normal(0, 0.25, 3)
    offset = 127 * (1 - weight.sum())
    return cv2.transform(picture, np.append(weight, offset).astype(np.float32)[None])


def region_curve(rng: np.random.Generator, regions: int, texture: float) -> np.ndarray:
    """[256] float32: each of a few bands of the input gets its own temperature; zero mean, unit spread.

    texture: how much of the image's own structure remains inside a region; its sign is random.
    """
    edges = np.sort(rng.uniform(0, 255, regions - 1))
    level = rng.normal(0, 1, regions)[np.searchsorted(edges, np.arange(256))]
    level = level + texture * rng.choice([-1, 1]) * (np.arange(256) - 127) / 64
    level = cv2.blur(level[None], (17, 1), borderType=cv2.BORDER_REPLICATE)[0]
    return ((level - level.mean()) / (level.std() + 1e-6)).astype(np.float32)


def surface_heat(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The heat pattern of an object: [h, w, 3] uint8 -> [h, w] float32, mean about 0, spread about 1."""
    height, width = picture.shape[:2]
    mixed = cv2.GaussianBlur(channel_mix(rng, picture), (0, 0), 0.5 + 0.02 * min(height, width))
    heat = cv2.LUT(mixed, region_curve(rng, int(rng.integers(2, 5)), rng.uniform(0, 0.8)))
    angle = rng.uniform(0, 2 * np.pi)
    across = np.cos(angle) * np.linspace(-1, 1, width) + np.sin(angle) * np.linspace(-1, 1, height)[:, None]
    place = np.clip(127 + 90 * across, 0, 255).astype(np.uint8)
    heat = heat + cv2.LUT(place, region_curve(rng, int(rng.integers(2, 4)), rng.uniform(0, 1))) * rng.uniform(0.3, 1.2)
    return cv2.GaussianBlur(heat, (0, 0), 0.6 + 0.015 * min(height, width))


def background_heat(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Infrared of a background photograph: [H, W, 3] uint8 -> [H, W] uint8.

    Sum of bands of a colour mix (walls, grass, road at their own temperatures), a vertical profile (cold sky, warm
    ground) and a slow random field.
    """
    height, width = picture.shape[:2]
    mixed = channel_mix(rng, picture)
    soft = cv2.GaussianBlur(mixed, (0, 0), rng.uniform(0.8, 2.5))
    heat = cv2.LUT(soft, region_curve(rng, int(rng.integers(3, 7)), rng.uniform(0.3, 1.5)))
    rows = region_curve(rng, int(rng.integers(2, 4)), 1.0)[np.linspace(0, 255, height).astype(int)]
    slow = cv2.resize(rng.standard_normal((4, 5), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    heat = heat + rng.uniform(0, 0.8) * rows[:, None] + rng.uniform(0, 0.7) * slow
    mean, spread = rng.uniform(35, 135), rng.uniform(10, 36)
    return cv2.convertScaleAbs(np.maximum(mean + spread * (heat - heat.mean()) / (heat.std() + 1e-6), 0))


def invent_infrared(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Infrared for a frame of a visible video: [H, W, 3] uint8 -> [H, W, 3] uint8, three equal channels.

    Generators with the same seed give every surface the same heat, so that the frames of a video agree.
    """
    heat = cv2.add(background_heat(rng, picture), sensor_pattern(rng, *picture.shape[:2]), dtype=cv2.CV_16S)
    grey = np.clip(heat - 128, 0, 255).astype(np.uint8)
    return cv2.merge([grey, grey, grey])


def sensor_pattern(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """What an uncooled detector adds to every frame: [height, width] uint8, 128 = nothing.

    Column stripes, a vignette and slow non-uniformity.
    """
    stripes = rng.normal(0, rng.uniform(0, 2.5), (1, width)) + rng.normal(0, rng.uniform(0, 1), (height, 1))
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    vignette = rng.normal(0, 9) * (x * x + y * y - 0.66)
    slow = rng.uniform(0, 16) * (fractal(rng, height // 8, width // 8) - 0.5)
    pattern = stripes + vignette + cv2.resize(slow, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(128 + pattern, 0, 255).astype(np.uint8)
