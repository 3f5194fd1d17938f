"""How objects and the camera move: smooth curves, and the matrices that put a sprite into a frame.

T frames; every curve is a uniform cubic B-spline, so it is smooth (C2) and never leaves its knots' hull.
"""

import functools
from dataclasses import dataclass

import numpy as np


def spline(knots: np.ndarray, frames: int) -> np.ndarray:
    """[K, D] knots -> [frames, D] points of their uniform cubic B-spline, K at least 4."""
    return _basis(len(knots), frames) @ knots


@functools.lru_cache(maxsize=256)
def _basis(knots: int, frames: int) -> np.ndarray:
    """[frames, knots] weights of the knots, cubic B-spline; each scene needs some thirty curves."""
    position = np.linspace(0, knots - 3 - 1e-9, frames)
    start = position.astype(int)
    u = position - start
    weights = ((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)
    basis = np.zeros((frames, knots))
    for k, weight in enumerate(weights):
        basis[np.arange(frames), start + k] = weight / 6
    return basis


def wander(rng: np.random.Generator, frames: int, spread: float | np.ndarray, spacing: float) -> np.ndarray:
    """A smooth random curve around 0, [frames, D]: a knot of `spread` (D values) every `spacing` frames."""
    spread = np.atleast_1d(spread)
    return spline(rng.normal(0, 1, (4 + int(frames / spacing), len(spread))) * spread, frames)


def roam(rng: np.random.Generator, frames: int, size: tuple[int, int], leaves: bool) -> np.ndarray:
    """A target's path through the frame: [frames, 2] centres in pixels, with stops and turns.

    size: (width, height). leaves: the target leaves the frame and comes back elsewhere.
    """
    extent = np.array(size, float)
    count = 5 + int(frames / rng.uniform(9, 30))
    stride = rng.uniform(0.06, 0.35)
    knots = [rng.uniform(0.2, 0.8, 2)]
    heading = rng.uniform(0, 2 * np.pi)
    while len(knots) < count:
        if rng.random() < 0.15:
            knots += [knots[-1]] * 2  # a stop
            continue
        heading += rng.normal(0, 0.7) if rng.random() < 0.8 else rng.uniform(1.5, 4.5)
        step = stride * rng.uniform(0.4, 1.4) * np.array([np.cos(heading), np.sin(heading)])
        ahead = knots[-1] + step
        if (np.abs(ahead - 0.5) > 0.32).any():
            heading = np.arctan2(*(0.5 - knots[-1])[::-1]) + rng.normal(0, 0.6)
        knots.append(np.clip(ahead, 0.12, 0.88))
    way = np.array(knots[:count])
    if leaves:
        first = int(rng.integers(3, max(4, count - 2)))
        side = rng.choice([-1, 1]) * np.eye(2)[rng.integers(2)]
        way[first : first + int(rng.integers(2, 4))] = 0.5 + side * rng.uniform(0.75, 1.1)
    return spline(way * extent, frames)


@dataclass(frozen=True)
class CameraPath:
    """How the image plane moves over the background."""

    matrices: np.ndarray  # [T, 3, 3] background pixels -> frame pixels
    zoom: np.ndarray  # [T] magnification relative to the mean
    moving: bool

    def carry(self, point: np.ndarray, frame: int) -> np.ndarray:
        """The frame positions [T, 2] of the background point that is at `point` [2] in one frame."""
        fixed = np.linalg.solve(self.matrices[frame], np.append(point, 1.0))
        return (self.matrices @ fixed)[:, :2]


def draw_camera(rng: np.random.Generator, frames: int, size: tuple[int, int], picture: tuple[int, int]) -> CameraPath:
    """A camera that pans, shakes, zooms and rolls a little over a background, or stands still (30 %).

    size, picture: (width, height) of the frame and of the background. What lies beyond the background is mirrored.
    """
    moving = bool(rng.random() > 0.3)
    cover = max(size[0] / picture[0], size[1] / picture[1]) * rng.uniform(1.0, 1.9)
    slack = np.maximum(np.array(picture) * cover - size, 0) / 2
    pan = rng.uniform(-1, 1, 2) * slack
    roll, zoom, way = np.zeros(frames), np.ones(frames), np.zeros((frames, 2))
    if moving:
        way = wander(rng, frames, rng.uniform(0.05, 0.35) * np.array(size), rng.uniform(15, 40))
        way = way + rng.normal(0, rng.choice([0, 0.7, 2.0], p=[0.4, 0.4, 0.2]), (frames, 2))
        zoom = np.exp(wander(rng, frames, 0.12 * rng.random(), 25)[:, 0])
        roll = wander(rng, frames, 0.06 * rng.random(), 25)[:, 0]
    middle = (np.array(picture) - 1) / 2
    matrices = similarity(np.array(size) / 2 + pan + way, cover * zoom, roll) @ translation(-middle)
    return CameraPath(matrices, zoom, moving)


def similarity(centre: np.ndarray, scale: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """[T, 3, 3] matrices that scale and turn about the origin, then move it to `centre` [T, 2]."""
    matrices = np.zeros((len(centre), 3, 3))
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 0], matrices[:, 1, 1] = cos, -sin, sin, cos
    matrices[:, :2, 2], matrices[:, 2, 2] = centre, 1
    return matrices


def placement(motion: np.ndarray, stretch: np.ndarray, tilt: np.ndarray, sprite: tuple[int, int]) -> np.ndarray:
    """[T, 3, 3] sprite pixels -> frame pixels: perspective, aspect change, then `motion` (a similarity).

    stretch: [T] logarithm of the aspect change; tilt: [T, 2] perspective, as the relative change of depth over
    half the sprite; sprite: its (width, height).
    """
    shape = np.zeros((len(motion), 3, 3))
    shape[:, 0, 0], shape[:, 1, 1], shape[:, 2, 2] = np.exp(stretch / 2), np.exp(-stretch / 2), 1
    shape[:, 2, :2] = tilt / (np.array(sprite) / 2)
    return motion @ shape @ translation(-(np.array(sprite) - 1) / 2)


def translation(offset: np.ndarray) -> np.ndarray:
    """[3, 3] matrix of a shift by `offset` [2] pixels."""
    matrix = np.eye(3)
    matrix[:2, 2] = offset
    return matrix
