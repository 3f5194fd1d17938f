"""A scene: everything that a sequence shows, where it is in each of T frames, and the ground truth."""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from .motion import CameraPath, translation
from .sprite import Sprite
from .weather import Weather

LEAST_INSIDE = 0.2  # a target with less of its box inside the frame counts as out of view
SHARE_GRID = 32  # pixels of the longest side on which occlusion is measured


@dataclass(frozen=True, eq=False)
class Actor:
    """A sprite and its path through the sequence."""

    sprite: Sprite
    matrices: np.ndarray  # [T, 3, 3] sprite pixels -> frame pixels (whole numbers are pixel centres)
    poses: np.ndarray  # [T] int
    role: str  # target, twin, same_kind, other or occluder
    opacity: float = 1.0

    @functools.cached_property
    def boxes(self) -> np.ndarray:
        """[T, 4] xywh pixels of the mask (alpha > 0.5) before occlusion, not clipped to the frame."""
        hull = self.sprite.hulls[self.poses]
        flat = np.concatenate([hull, np.ones_like(hull[..., :1])], axis=-1) @ self.matrices.transpose(0, 2, 1)
        points = flat[..., :2] / flat[..., 2:]
        # Pixel (0, 0) covers [0, 1): its centre, which the matrices use, lies at 0.5.
        low, high = points.min(1) + 0.5, points.max(1) + 0.5
        return np.concatenate([low, high - low], axis=1)


@dataclass(frozen=True, eq=False)
class Scene:
    """What the renderer draws. Later actors cover earlier ones."""

    size: tuple[int, int]  # (width, height) of the frames
    background: np.ndarray  # [H, W, 3] uint8
    background_infrared: np.ndarray  # [H, W] uint8
    camera: CameraPath
    actors: list[Actor]
    weather: Weather
    shift: np.ndarray  # [T, 2] misregistration of the infrared stream, pixels
    pattern: np.ndarray  # [height, width] uint8, fixed pattern of the infrared sensor, 128 = none
    edge: float
    seed: int

    @functools.cached_property
    def target(self) -> int:
        """Index of the target in `actors`."""
        return next(index for index, actor in enumerate(self.actors) if actor.role == "target")

    @functools.cached_property
    def objects(self) -> np.ndarray:
        """[N, 6] frame, index in `actors`, xywh pixels inside the frame: all actors but occluders, where in view."""
        rows = []
        for index, actor in enumerate(self.actors):
            low = np.maximum(actor.boxes[:, :2], 0)
            high = np.minimum(actor.boxes[:, :2] + actor.boxes[:, 2:], self.size)
            inside = np.maximum(high - low, 0).prod(1) / actor.boxes[:, 2:].prod(1)
            frames = np.flatnonzero((inside >= LEAST_INSIDE) & (actor.role != "occluder"))
            boxes = np.hstack([low, high - low])[frames]
            rows.append(np.hstack([frames[:, None], np.full((len(frames), 1), index), boxes]))
        return np.concatenate(rows)

    @functools.cached_property
    def boxes(self) -> np.ndarray:
        """[T, 4] float64 xywh pixels of the target in the visible stream, inside the frame; 0,0,0,0 = absent."""
        target = self.actors[self.target]
        low = np.maximum(target.boxes[:, :2], 0)
        high = np.minimum(target.boxes[:, :2] + target.boxes[:, 2:], self.size)
        inside = np.maximum(high - low, 0).prod(1) / target.boxes[:, 2:].prod(1)
        boxes = np.zeros((len(low), 4))
        for frame in np.nonzero((inside >= LEAST_INSIDE) & (high - low > 2).all(1))[0].tolist():
            boxes[frame] = self._tight(frame, low[frame], high[frame])
        return boxes

    def _tight(self, frame: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The box with corners `low` and `high`, limited to the pixels of the mask: [4] xywh, zeros if it has none.

        Parts too thin to contain the centre of a pixel and parts outside the frame do not count.
        """
        target = self.actors[self.target]
        start, end = window(target.matrices[frame], target.sprite.size, self.size)
        mask = _mask(target, frame, translation(-start), end - start)
        x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
        if min(w, h) < 1:
            return np.zeros(4)
        first = start + (x, y)
        last = first + (w, h)
        first = np.minimum(np.maximum(low, first - 0.5), first + 0.5)
        last = np.minimum(np.maximum(high, last - 0.5), last + 0.5)
        return np.concatenate([first, last - first])

    @functools.cached_property
    def visible_share(self) -> np.ndarray:
        """[T] share of the target's mask that is inside the frame and not covered."""
        return np.array([self._share(frame) for frame in range(len(self.shift))])

    def _share(self, frame: int) -> float:
        target, box = self.actors[self.target], self.actors[self.target].boxes[frame]
        inside = (box[:2] >= 0).all() and (box[:2] + box[2:] <= self.size).all()
        front = [actor for actor in self.actors[self.target + 1 :] if _touch(actor.boxes[frame], box)]
        if inside and not front:
            return 1.0
        scale = min(1.0, SHARE_GRID / box[2:].max())
        grid = np.ceil(box[2:] * scale).astype(int) + 1
        to_grid = np.array([[scale, 0, -box[0] * scale], [0, scale, -box[1] * scale], [0, 0, 1]])
        mask = _mask(target, frame, to_grid, grid)
        total = int(mask.sum())
        for actor in front:
            if actor.opacity > 0.5:
                mask &= ~_mask(actor, frame, to_grid, grid)
        x, y = (np.arange(count) / scale + start for count, start in zip(grid, box[:2], strict=True))
        mask &= ((x >= 0) & (x < self.size[0])) & ((y >= 0) & (y < self.size[1]))[:, None]
        return float(mask.sum() / max(1, total))


def window(matrix: np.ndarray, sprite: tuple[int, int], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The part of the frame that a warped sprite can touch: first and (exclusive) last pixel, [2] int x, y each."""
    w, h = sprite
    corners = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]]) @ matrix.T
    corners = corners[:, :2] / corners[:, 2:]
    first = np.maximum(np.floor(corners.min(0)), 0).astype(int)
    return first, np.minimum(np.ceil(corners.max(0)) + 1, size).astype(int)


def _mask(actor: Actor, frame: int, to_grid: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """[h, w] bool mask of an actor on a grid of (w, h) cells."""
    alpha = np.ascontiguousarray(actor.sprite.visible[actor.poses[frame]][..., 3])
    return cv2.warpPerspective(alpha, to_grid @ actor.matrices[frame], (int(grid[0]), int(grid[1]))) > 127


def _touch(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a[:2] < b[:2] + b[2:]).all() and (b[:2] < a[:2] + a[2:]).all())
