"""Rendering a frame with 8-bit OpenCV warps and look-up tables; infrared is one channel until the end."""

import functools

import cv2
import numpy as np

from .motion import translation
from .scene import Actor, Scene, window
from .weather import Conditions

NOISE_SIDE, NOISE_SPREAD = 768, 40  # of the noise image that every frame takes a random part of


def render(scene: Scene, frame: int, *, visible_only: bool = False) -> list[np.ndarray]:
    """Frame `frame` of a scene: visible and, unless `visible_only`, infrared, [height, width, 3] uint8 RGB each."""
    rng = np.random.default_rng([scene.seed, frame])
    aside = translation(scene.shift[frame])
    visible = _backdrop(scene.background, scene.camera.matrices[frame], scene.size)
    for actor in scene.actors:
        opacity = _opacity(actor, scene.weather.visible, frame)
        _paste(visible, actor.sprite.visible[actor.poses[frame]], actor.matrices[frame], opacity)
    if scene.weather.grey:
        visible = cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY)
    visible = _develop(rng, visible, scene.weather.visible, frame)
    if visible.ndim == 2:
        visible = cv2.cvtColor(visible, cv2.COLOR_GRAY2RGB)
    if visible_only:
        return [visible]
    infrared = _backdrop(scene.background_infrared, aside @ scene.camera.matrices[frame], scene.size)
    for actor in scene.actors:
        opacity = _opacity(actor, scene.weather.infrared, frame)
        _paste(infrared, actor.sprite.infrared[actor.poses[frame]], aside @ actor.matrices[frame], opacity)
    infrared = _develop(rng, infrared, scene.weather.infrared, frame)
    infrared = cv2.addWeighted(infrared, 1, scene.pattern, 1, -128)
    return [visible, cv2.cvtColor(infrared, cv2.COLOR_GRAY2RGB)]


def target_mask(scene: Scene, frame: int) -> np.ndarray:
    """[height, width] bool: where the target's rendered alpha exceeds one half, before occlusion."""
    return _silhouette(scene, frame, scene.target + 1) > 127


def visible_mask(scene: Scene, frame: int) -> np.ndarray:
    """[height, width] uint8: 255 where the target's rendered alpha exceeds one half and nothing covers it, 0
    elsewhere."""
    return np.where(_silhouette(scene, frame, len(scene.actors)) > 127, 255, 0).astype(np.uint8)


def _silhouette(scene: Scene, frame: int, end: int) -> np.ndarray:
    """[height, width] uint8: the target white on black, behind the actors up to number `end`."""
    canvas = np.zeros((scene.size[1], scene.size[0], 3), np.uint8)
    for actor in scene.actors[scene.target : end]:
        alpha = actor.sprite.visible[actor.poses[frame]][..., 3]
        colour = alpha if actor.role == "target" else np.zeros_like(alpha)
        _paste(canvas, np.dstack([colour, colour, colour, alpha]), actor.matrices[frame], actor.opacity)
    return canvas[..., 0]


def _opacity(actor: Actor, conditions: Conditions, frame: int) -> float:
    """Objects fade where a modality cannot tell them from the background; occluders do not."""
    return actor.opacity if actor.role == "occluder" else actor.opacity * float(conditions.fade[frame])


def _backdrop(picture: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.warpAffine(picture, matrix[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _paste(canvas: np.ndarray, layer: np.ndarray, matrix: np.ndarray, opacity: float) -> None:
    """Blend a layer (colours times alpha, alpha last) into its part of the canvas, in place."""
    first, last = window(matrix, layer.shape[1::-1], canvas.shape[1::-1])
    if (first >= last).any():
        return
    warped = cv2.warpPerspective(layer, translation(-first) @ matrix, (last - first).tolist())
    if opacity < 1:
        warped = cv2.convertScaleAbs(warped, alpha=opacity)
    *colours, alpha = cv2.split(warped)
    part = canvas[first[1] : last[1], first[0] : last[0]]
    keep = cv2.bitwise_not(alpha)
    colour = colours[0] if canvas.ndim == 2 else cv2.merge(colours)
    keep = keep if canvas.ndim == 2 else cv2.merge([keep] * 3)
    part[...] = cv2.add(cv2.multiply(part, keep, scale=1 / 255), colour)


def _develop(rng: np.random.Generator, image: np.ndarray, conditions: Conditions, frame: int) -> np.ndarray:
    """Optics, motion blur, exposure, sensor noise and JPEG of one modality."""
    if conditions.softness > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), conditions.softness)
    if conditions.blur[frame] > 2:
        image = _smear(image, conditions.blur[frame], conditions.direction)
    image = cv2.LUT(image, conditions.curves[frame])
    if conditions.noise[frame] > 0.3:
        bank = _noise(image.ndim)
        y, x = rng.integers(0, NOISE_SIDE - np.array(image.shape[:2]))
        part = bank[y : y + image.shape[0], x : x + image.shape[1]]
        gain = conditions.noise[frame] / NOISE_SPREAD
        image = cv2.addWeighted(image, 1, part, gain, -128 * gain)
    if conditions.quality is not None:
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, conditions.quality])[1]
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED))
    return image


def _smear(image: np.ndarray, length: float, direction: float) -> np.ndarray:
    """Motion blur; a long one is applied at half the resolution, which costs a quarter and looks the same."""
    height, width = image.shape[:2]
    if length > 8:
        return cv2.resize(_smear(cv2.resize(image, (width // 2, height // 2)), length / 2, direction), (width, height))
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1,) * 2, np.float32)
    reach = np.array([np.cos(direction), np.sin(direction)]) * length / 2 * 16
    start, end = (half * 16 - reach).round().astype(int), (half * 16 + reach).round().astype(int)
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0, 1, cv2.LINE_8, shift=4)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


@functools.cache
def _noise(dimensions: int) -> np.ndarray:
    """The noise image: uint8 around 128, slightly correlated between the colours as after demosaicing."""
    rng = np.random.default_rng(7)
    grey = rng.normal(0, 1, (NOISE_SIDE, NOISE_SIDE, 1))
    bank = grey if dimensions == 2 else 0.6 * grey + 0.8 * rng.normal(0, 1, (NOISE_SIDE, NOISE_SIDE, 3))
    return np.clip(128 + NOISE_SPREAD * bank, 0, 255).round().astype(np.uint8).squeeze()
