"""Procedural images, which replace photographs where there are none."""

import cv2
import numpy as np


def fractal(rng: np.random.Generator, height: int, width: int, coarsest: int = 3) -> np.ndarray:
    """Smooth random field [height, width] float32 in [0, 1] with structure at every scale."""
    field = np.zeros((height, width), np.float32)
    cells, weight, fall = coarsest, 1.0, rng.uniform(0.45, 0.75)
    while cells == coarsest or cells < min(height, width) / 3:
        grid = rng.standard_normal((cells + 1, round(cells * width / height) + 1), np.float32)
        field += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, weight = cells * 2, weight * fall
    low, high = float(field.min()), float(field.max())
    return (field - low) / (high - low + 1e-6)


def painting(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """An image of fields, stripes, blocks and grain: [height, width, 3] uint8 RGB.

    Regions with hard and smooth edges, each with its own colour and texture, as in photographs.
    """
    regions = _regions(rng, height, width)
    count = int(regions.max()) + 1
    palette = _palette(rng, count)
    picture = palette[regions]
    shade = fractal(rng, height, width, int(rng.integers(2, 6)))
    picture = picture * (0.6 + 0.8 * shade[..., None])
    grain = fractal(rng, height, width, int(rng.integers(12, 40))) - 0.5
    stripes = _stripes(rng, height, width)
    amount = rng.uniform(0, 90, count).astype(np.float32)[regions]
    striped = (rng.random(count) < 0.35)[regions]
    picture = picture + (np.where(striped, stripes, grain) * amount)[..., None]
    return _furnish(rng, np.clip(picture, 0, 255).astype(np.uint8))


def _regions(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """[height, width] int region labels: contour bands of a field, cut by a few straight lines."""
    bands = (fractal(rng, height, width, int(rng.integers(2, 5))) * rng.uniform(2, 6)).astype(np.int64)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    for _ in range(rng.integers(0, 3)):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(0.1, 0.9)
        bands = bands * 2 + ((x - offset) * np.cos(angle) + (y - offset) * np.sin(angle) > 0)
    return np.unique(bands, return_inverse=True)[1].reshape(height, width)


def _palette(rng: np.random.Generator, count: int) -> np.ndarray:
    """[count, 3] float32 colours that share a tint, as the objects of one scene do."""
    tint = rng.uniform(60, 200) + rng.normal(0, 18, 3)
    return (tint + rng.normal(0, 45, (count, 1)) + rng.normal(0, 15, (count, 3))).astype(np.float32)


def _stripes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 24)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period))
    return np.sign(wave) * 0.5 if rng.random() < 0.5 else wave * 0.5


def _furnish(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Hard-edged clutter: blocks, poles and discs, so that an object is not the only thing with an outline."""
    height, width = picture.shape[:2]
    for _ in range(rng.integers(4, 24)):
        colour = tuple(int(value) for value in rng.integers(0, 256, 3) * rng.uniform(0.3, 1))
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        size = np.maximum(2, rng.gamma(2, 10, 2)).astype(int)
        if rng.random() < 0.6:
            turn = float(rng.choice([0, 0, rng.uniform(0, 90)]))
            corners = cv2.boxPoints(((x, y), (int(size[0]), int(size[1])), turn))
            cv2.fillPoly(picture, [corners.astype(np.int32)], colour, cv2.LINE_AA)
        elif rng.random() < 0.5:
            cv2.ellipse(picture, (x, y), (int(size[0]), int(size[1])), 0, 0, 360, colour, -1, cv2.LINE_AA)
        else:
            foot = x + int(rng.normal(0, 20)), height
            cv2.line(picture, (x, 0), foot, colour, int(rng.integers(1, 8)), cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1))
