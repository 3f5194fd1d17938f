"""Streams that fail: smoke, darkness, glare, a flat or noisy sensor, a camera that shows something else.

S side of a crop in pixels; images are [S, S, 3] uint8.
"""

from collections.abc import Callable

import cv2
import numpy as np

from ...datasets.camera import CAMERAS
from ...datasets.sequence import VISIBLE

Image = np.ndarray
Fault = Callable[[np.random.Generator, Image], Image]


def smoke(rng: np.random.Generator, image: Image) -> Image:
    """A grey veil of uneven density, through which the scene is blurred."""
    density = np.clip(rng.uniform(0.2, 1.1) + rng.uniform(0.1, 0.5) * clouds(rng, image.shape[0]), 0, 1)[..., None]
    colour = rng.uniform(110, 240) + rng.uniform(-8, 8, 3)
    blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 3.0)).astype(np.float32)
    veil = colour + rng.uniform(0, 25) * clouds(rng, image.shape[0])[..., None]
    return _pixels(blurred * (1 - density) + veil * density)


def darkness(rng: np.random.Generator, image: Image) -> Image:
    """Too little light, and the sensor's noise."""
    return _with_noise(rng, image.astype(np.float32) * rng.uniform(0.02, 0.3), rng.uniform(1, 10))


def glare(rng: np.random.Generator, image: Image) -> Image:
    """One to three bright spots that saturate the sensor."""
    size = image.shape[0]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    light = np.zeros((size, size), np.float32)
    for _ in range(rng.integers(1, 4)):
        centre, radius = rng.uniform(0, size, 2), rng.uniform(0.05, 0.4) * size
        light += rng.uniform(100, 600) * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * radius**2))
    return _pixels(image.astype(np.float32) + light[..., None])


def flat(rng: np.random.Generator, image: Image) -> Image:
    """Hardly any contrast, and noise: thermal crossover, or a wrong gain."""
    grey = rng.uniform(40, 200)
    return _with_noise(rng, grey + (image.astype(np.float32) - image.mean()) * rng.uniform(0, 0.2), rng.uniform(0.5, 6))


def noise(rng: np.random.Generator, image: Image) -> Image:
    """Noise alone, fine or in cells."""
    cell = int(rng.choice([1, 2, 4, 8, 16]))
    channels = 1 if rng.random() < 0.5 else 3
    small = rng.normal(rng.uniform(60, 190), rng.uniform(10, 80), (-(-image.shape[0] // cell),) * 2 + (channels,))
    grown = small.repeat(cell, 0).repeat(cell, 1)[: image.shape[0], : image.shape[1]]
    return _pixels(np.broadcast_to(grown, image.shape))


def stale(rng: np.random.Generator, image: Image) -> Image:
    """The scene somewhere else: mirrored and moved by a quarter of the crop or more."""
    size = image.shape[0]
    moved = np.roll(image, tuple(int(step) for step in rng.integers(size // 4, 3 * size // 4, 2)), axis=(0, 1))
    return np.ascontiguousarray(moved[:, ::-1] if rng.random() < 0.5 else moved[::-1])


#: Faults of each camera and how often each is drawn.
FAULTS: dict[str, dict[Fault, float]] = {
    VISIBLE: {smoke: 0.45, darkness: 0.2, glare: 0.1, flat: 0.1, noise: 0.1, stale: 0.05},
    "infrared": {flat: 0.45, smoke: 0.1, glare: 0.15, noise: 0.2, stale: 0.1},
}
#: What a camera shows that never worked.
BROKEN: dict[Fault, float] = {noise: 0.4, flat: 0.2, stale: 0.4}
FIRST_CAMERA = 0.6  # share of the faults that hit the visible camera


def draw_fault(rng: np.random.Generator, choices: dict[Fault, float]) -> Fault:
    """One of several faults by their shares."""
    shares = np.array(list(choices.values()))
    return list(choices)[int(rng.choice(len(shares), p=shares / shares.sum()))]


def harm(rng: np.random.Generator, template: Image, search: Image, template_share: float) -> tuple[Image, Image]:
    """The crops of a pair ([S, S, 6] each) after one of the cameras got worse in the search region and, with
    probability `template_share`, in the template too."""
    stream = int(rng.random() >= FIRST_CAMERA)
    fault = draw_fault(rng, FAULTS[CAMERAS[stream]])
    search = _replace(search, stream, fault(rng, stream_of(search, stream)))
    if rng.random() < template_share:
        template = _replace(template, stream, fault(rng, stream_of(template, stream)))
    return template, search


def stream_of(image: Image, stream: int) -> Image:
    """One stream of [S, S, 6]: [S, S, 3]."""
    return image[..., 3 * stream : 3 * stream + 3]


def clouds(rng: np.random.Generator, size: int) -> np.ndarray:
    """Smooth random values around 0, in patches of several sizes: [size, size] float32."""
    total = np.zeros((size, size), np.float32)
    for cells in (2, 4, 8, 16):
        patch = rng.normal(0, 1, (cells, cells)).astype(np.float32)
        total += cv2.resize(patch, (size, size), interpolation=cv2.INTER_CUBIC) * (1.5 / cells**0.7)
    return total


def _replace(image: Image, stream: int, part: Image) -> Image:
    changed = image.copy()
    changed[..., 3 * stream : 3 * stream + 3] = part
    return changed


def _with_noise(rng: np.random.Generator, values: np.ndarray, spread: float) -> Image:
    return _pixels(values + rng.normal(0, spread, values.shape[:2])[..., None])


def _pixels(values: np.ndarray) -> Image:
    return np.clip(values, 0, 255).astype(np.uint8)
