"""Sprites: objects with an outline, a visible and a thermal appearance, ready to be warped into a frame.

K poses, h x w sprite pixels.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from .outline import mask_points

MARGIN = 4  # transparent pixels around every sprite, so that bilinear edges fade out inside it


class Appearance(NamedTuple):
    """One pose of an object at any resolution; colour and heat are defined under the transparent part too."""

    rgb: np.ndarray  # [h, w, 3] uint8
    heat: np.ndarray  # [h, w] uint8
    alpha: np.ndarray  # [h, w] uint8


@dataclass(frozen=True, eq=False)
class Sprite:
    """An object at its largest size in the sequence, colours multiplied by alpha."""

    appearances: list[Appearance]
    visible: list[np.ndarray]  # K of [h, w, 4] uint8, RGB times alpha, alpha
    infrared: list[np.ndarray]  # K of [h, w, 2] uint8, heat times alpha, alpha
    hulls: np.ndarray  # [K, P, 2] convex hull of alpha > 0.5, sprite pixels

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the sprite in pixels, margin included."""
        return self.visible[0].shape[1], self.visible[0].shape[0]


def fit(appearance: Appearance, size: float) -> Appearance:
    """Scale an appearance so that the square root of its area is `size` pixels, and add the margin."""
    height, width = appearance.alpha.shape
    scale = size / np.sqrt(height * width)
    shape = max(3, round(width * scale)), max(3, round(height * scale))
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return add_margin(Appearance(*(cv2.resize(plane, shape, interpolation=kind) for plane in appearance)))


def add_margin(appearance: Appearance) -> Appearance:
    """Add the transparent margin around an appearance."""
    border = [cv2.BORDER_REPLICATE, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT]
    sides = (MARGIN,) * 4
    return Appearance(
        *(cv2.copyMakeBorder(plane, *sides, kind) for plane, kind in zip(appearance, border, strict=True))
    )


def assemble(appearances: list[Appearance], smallest: float, edge: float) -> Sprite:
    """Make a sprite of its poses.

    smallest: the least magnification at which it is drawn. Parts thinner than about 2.5 pixels at that size are
    removed, because a mask that thin has no definite box. edge: blur of the outline in pixels, the same for all
    objects of a scene, so that the outline does not give the target away.
    """
    width = int(np.ceil(2.5 / smallest)) | 1
    room = (min(appearances[0].alpha.shape) - 2 * MARGIN) // 2 | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (min(width, room),) * 2)
    visible, infrared, hulls = [], [], []
    for appearance in appearances:
        alpha = cv2.GaussianBlur(cv2.morphologyEx(appearance.alpha, cv2.MORPH_OPEN, kernel), (0, 0), edge)
        if alpha.max() < 200:
            # Thin or faint: at least its core counts.
            alpha = cv2.convertScaleAbs(appearance.alpha, alpha=255 / max(1, int(appearance.alpha.max())))
        alpha = _clear_border(_largest(alpha))
        factor = alpha[..., None].astype(np.uint16)
        visible.append(np.dstack([_scaled(appearance.rgb, factor), alpha]))
        infrared.append(np.dstack([_scaled(appearance.heat[..., None], factor), alpha]))
        hulls.append(mask_points(alpha))
    longest = max(len(hull) for hull in hulls)
    padded = [np.pad(hull, ((0, longest - len(hull)), (0, 0)), mode="edge") for hull in hulls]
    return Sprite(appearances, visible, infrared, np.stack(padded))


def bend(rng: np.random.Generator, appearance: Appearance, poses: int) -> list[Appearance]:
    """Poses of an object that sways: rows and columns are shifted by a travelling wave."""
    height, width = appearance.alpha.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    strength = rng.uniform(0.02, 0.1) * min(height, width) * rng.dirichlet(np.ones(2))
    turns, offset = 2 * np.pi * rng.uniform(0.5, 1.5, 2) / (height, width), rng.uniform(0, 2 * np.pi)
    bent = []
    for phase in np.linspace(0, 2 * np.pi, poses, endpoint=False):
        to_x = (x + strength[0] * np.sin(turns[0] * y + phase)).astype(np.float32)
        to_y = (y + strength[1] * np.sin(turns[1] * x + phase + offset)).astype(np.float32)
        rgb = cv2.remap(appearance.rgb, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        heat = cv2.remap(appearance.heat, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        bent.append(Appearance(rgb, heat, _clear_border(cv2.remap(appearance.alpha, to_x, to_y, cv2.INTER_LINEAR))))
    return bent


def recoloured(rng: np.random.Generator, appearances: list[Appearance]) -> list[Appearance]:
    """The same object in other colours: alike in the infrared stream only."""
    turn = int(rng.integers(50, 130))
    tone = np.linspace(0, 1, 256) ** rng.choice([0.35, 0.5, 2.0, 3.0])
    curve = (255 * (1 - tone if rng.random() < 0.5 else tone)).astype(np.uint8)
    hsv = [cv2.cvtColor(appearance.rgb, cv2.COLOR_RGB2HSV) for appearance in appearances]
    shifted = [np.dstack([(image[..., 0].astype(int) + turn) % 180, image[..., 1:]]).astype(np.uint8) for image in hsv]
    rgb = [cv2.LUT(cv2.cvtColor(image, cv2.COLOR_HSV2RGB), curve) for image in shifted]
    return [appearance._replace(rgb=image) for appearance, image in zip(appearances, rgb, strict=True)]


def reheated(rng: np.random.Generator, appearances: list[Appearance]) -> list[Appearance]:
    """The same object at another temperature: alike in the visible stream only."""
    mean = float(np.mean([appearance.heat.mean() for appearance in appearances]))
    level = mean + (rng.uniform(55, 110) if mean < 128 else -rng.uniform(55, 110))
    gain = rng.uniform(0.3, 1) * rng.choice([-1, 1])
    curve = np.clip(level + gain * (np.arange(256) - mean), 0, 255).astype(np.uint8)
    return [appearance._replace(heat=cv2.LUT(appearance.heat, curve)) for appearance in appearances]


def _largest(alpha: np.ndarray) -> np.ndarray:
    """The mask without parts that are not connected to the main one, which would make the box jump."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats((alpha > 127).astype(np.uint8), connectivity=4)
    if count < 3:
        return alpha
    main = (labels == 1 + boxes[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    return np.where((cv2.dilate(main, np.ones((5, 5), np.uint8)) > 0) | (alpha < 128), alpha, 0).astype(np.uint8)


def _scaled(planes: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return ((planes * factor + 127) // 255).astype(np.uint8)


def _clear_border(alpha: np.ndarray) -> np.ndarray:
    inner = np.zeros_like(alpha)
    inner[1:-1, 1:-1] = alpha[1:-1, 1:-1]
    return inner
