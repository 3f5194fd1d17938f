"""From a seed to a scene: its objects and their paths through the frames."""

import math
from dataclasses import replace

import numpy as np

from .material import Cutout, Material, Still
from .motion import CameraPath, draw_camera, placement, roam, similarity, translation, wander
from .outline import closed_spline
from .scene import Actor, Scene
from .scene_objects import UPRIGHT, ObjectMaker, SceneObjects, appearance_of, draw_theme
from .sprite import MARGIN, Appearance, add_margin, assemble
from .thermal import background_heat, sensor_pattern
from .weather import draw_weather

NATIVE = 0.12  # share of the scenes whose target is a part of the background instead of a pasted object
LEAST_TEXTURE = 24  # grey levels; a part of the background with less texture cannot be tracked
SMALLEST, LARGEST = 12, 95  # side of a target (square root of its box area), pixels in a frame 256 pixels high


def stage(
    material: Material,
    seed: int,
    frames: int,
    size: tuple[int, int],
    *,
    visible_only: bool = False,
    leaves: bool = False,
) -> Scene:
    """The scene of a seed: `frames` frames of `size` (width, height). The same arguments give the same scene.

    visible_only: the visible stream is always informative. leaves: the target leaves the frame, and there are no other
    objects.
    """
    rng = np.random.default_rng(seed)
    theme = draw_theme(rng, material)
    upright = theme in UPRIGHT
    background, heat, bodies = _background(rng, material, 0.6 if upright else 0.25)
    weather = draw_weather(rng, frames, visible_only=visible_only)
    camera = draw_camera(rng, frames, size, background.shape[1::-1])
    maker = ObjectMaker(rng, material, theme, float(heat.mean()))
    side = _draw_side(rng, size[1], upright=upright)
    placer = _Placer(rng, frames, size, camera, upright=upright)
    native = placer.native(background, heat, bodies, side) if rng.random() < NATIVE else None
    if native is not None:
        side = float(np.sqrt(native.boxes[0, 2:].prod()))
    objects = maker.make_all(side, weather.informative, background, native.sprite.appearances[0] if native else None)
    objects = replace(objects, twins=[], same_kind=[], others=[], occluders=[]) if leaves else objects
    limit = 4 * min(1.0, side / 40)
    shift = limit * rng.random() * _direction(rng.uniform(0, 2 * np.pi))
    return Scene(
        size=size,
        background=background,
        background_infrared=heat,
        camera=camera,
        actors=placer.place(objects, native, leaves),
        weather=weather,
        shift=shift + wander(rng, frames, np.full(2, 0.1 * limit), 25),
        pattern=sensor_pattern(rng, size[1], size[0]),
        edge=placer.edge,
        seed=seed,
    )


def _draw_side(rng: np.random.Generator, height: int, *, upright: bool) -> float:
    """Side of a target in a frame of that height, pixels."""
    smallest = SMALLEST * (1.2 if upright else 1)
    largest = max(1.2 * smallest, LARGEST * (0.55 if upright else 1) * height / 256)
    return math.exp(rng.uniform(math.log(smallest), math.log(largest)))


def _background(rng: np.random.Generator, material: Material, stills: float) -> Still:
    """A background in both modalities: an aligned still with its true infrared (a share `stills`) or a photograph."""
    if material.stills and rng.random() < stills:
        return material.stills[rng.integers(len(material.stills))]
    photo = material.photos[rng.integers(len(material.photos))]
    return Still(photo, background_heat(rng, photo), [])


def _patch(rng: np.random.Generator, background: np.ndarray, heat: np.ndarray, side: float) -> Cutout:
    """A free-form piece of the background, `side` background pixels large."""
    limit = np.array(heat.shape) - 1
    stretch = math.exp(rng.normal(0, 0.4))
    h, w = np.clip([side * stretch**0.5, side / stretch**0.5], 8, limit).astype(int)
    y, x = (int(rng.integers(0, room + 1)) for room in limit - (h, w))
    part = np.s_[y : y + h, x : x + w]
    return Cutout(background[part], closed_spline(rng, h, w), heat[part], "patch", (x, y))


class _Placer:
    """Places the actors: the target first, the others around it."""

    def __init__(
        self, rng: np.random.Generator, frames: int, size: tuple[int, int], camera: CameraPath, *, upright: bool
    ) -> None:
        self.rng, self.frames, self.size, self.camera, self.upright = rng, frames, size, camera, upright
        self.edge = float(rng.uniform(0.45, 1.0))

    def native(self, background: np.ndarray, heat: np.ndarray, bodies: list[Cutout], side: float) -> Actor | None:
        """A target that is a part of the background: a warm body of the still, or a well textured piece.

        It is drawn over itself, which changes nothing. None when the first frame shows nothing suitable.
        """
        rng, first = self.rng, self.camera.matrices[0]
        found = [*bodies] or [_patch(rng, background, heat, side / np.sqrt(np.linalg.det(first))) for _ in range(8)]
        plain = [min(cutout.rgb.std(), 2 * appearance_of(cutout).heat.std()) < LEAST_TEXTURE for cutout in found]
        found = [cutout for cutout, dull in zip(found, plain, strict=True) if bodies or not dull]
        for cutout in (found[index] for index in rng.permutation(len(found))):
            appearance = add_margin(appearance_of(cutout))
            sprite = assemble([appearance], 1.0, 0.5)
            matrices = self.camera.matrices @ translation(np.array(cutout.home) - MARGIN)
            actor = Actor(sprite, matrices, np.zeros(self.frames, int), "target")
            w, h = actor.boxes[0, 2:]
            corner = actor.boxes[:, :2]
            inside = ((corner > 0) & (corner + actor.boxes[:, 2:] < self.size)).all(1)
            if inside[0] and inside.mean() > 0.7 and min(w, h) >= 8 and max(w, h) <= 0.6 * self.size[1]:
                return actor
        return None

    def place(self, objects: SceneObjects, native: Actor | None, leaves: bool) -> list[Actor]:
        """All actors in drawing order. leaves: the target leaves the frame; otherwise it does so in 12 % of cases."""
        rng = self.rng
        way = roam(rng, self.frames, self.size, leaves=bool(rng.random() < 0.12) or leaves)
        growth = wander(rng, self.frames, 0.5 * rng.random(), rng.uniform(12, 40))[:, 0]
        side = math.sqrt(math.prod(objects.target[0].alpha.shape))
        growth = np.maximum(growth - growth.max(), min(0.0, math.log(SMALLEST / side)))
        target = native or self._actor(objects.target, "target", way, np.exp(growth))
        way = target.boxes[:, :2] + target.boxes[:, 2:] / 2
        side = np.sqrt(target.boxes[:, 2:].prod(1))
        followers = [self._follower(appearances, "twin", way, side) for appearances in objects.twins]
        followers += [self._follower(appearances, "same_kind", way, side) for appearances in objects.same_kind]
        followers += [self._follower(appearances, "other", way, side) for appearances in objects.others]
        in_front = [rng.random() < 0.3 and not _covers(actor, target) for actor in followers]
        behind = [actor for actor, front in zip(followers, in_front, strict=True) if not front]
        before = [actor for actor, front in zip(followers, in_front, strict=True) if front]
        occluders = [self._occluder(appearances, way) for appearances in objects.occluders]
        return [*behind, target, *before, *(actor for actor in occluders if not _covers(actor, target))]

    def _follower(self, appearances: list[Appearance], role: str, way: np.ndarray, side: np.ndarray) -> Actor:
        """A distractor near the target: it moves along with it, roams freely, or stands beside its path."""
        rng, frames = self.rng, self.frames
        kind = rng.choice(["along", "fixed", "roaming"], p=[0.6, 0.28, 0.12])
        growth = np.exp(wander(rng, frames, 0.15 * rng.random(), 25)[:, 0])
        if kind == "roaming":
            return self._actor(appearances, role, roam(rng, frames, self.size, leaves=False), growth)
        distance, turn = rng.uniform(0.95, 2.2), rng.uniform(0, 2 * np.pi)
        if kind == "fixed":
            frame = int(rng.integers(frames))
            return self._fixed(appearances, role, way[frame] + distance * side[frame] * _direction(turn), frame)
        around = turn + wander(rng, frames, rng.uniform(0.2, 2), 16)[:, 0]
        reach = distance * np.exp(wander(rng, frames, 0.35, 14)[:, 0]) * side
        return self._actor(appearances, role, way + reach[:, None] * _direction(around), growth)

    def _occluder(self, appearances: list[Appearance], way: np.ndarray) -> Actor:
        """A foreground object fixed to the scene where the target will pass."""
        frame = int(self.rng.integers(self.frames // 5, self.frames))
        actor = self._fixed(appearances, "occluder", way[frame] + self.rng.normal(0, 4, 2), frame)
        opacity = float(self.rng.uniform(0.35, 0.7)) if self.rng.random() < 0.1 else 1.0
        return Actor(actor.sprite, actor.matrices, actor.poses, "occluder", opacity)

    def _fixed(self, appearances: list[Appearance], role: str, point: np.ndarray, frame: int) -> Actor:
        """An object that is fixed to the background."""
        return self._actor(appearances, role, self.camera.carry(point, frame), self.camera.zoom, still=True)

    def _actor(
        self, appearances: list[Appearance], role: str, way: np.ndarray, growth: np.ndarray, *, still: bool = False
    ) -> Actor:
        """way: [T, 2] centres; growth: [T] size relative to the appearances; still: with little rotation of its own."""
        rng, frames = self.rng, self.frames
        scale = growth / growth.max()
        sprite = assemble(appearances, float(scale.min()), self.edge)
        lively = 0.25 if self.upright or still else 1.0
        angle: np.ndarray = wander(rng, frames, lively * 0.9 * rng.random() ** 2, rng.uniform(12, 40))[:, 0]
        if lively == 1 and rng.random() < 0.12:
            angle += rng.uniform(-np.pi, np.pi) + rng.normal(0, 0.06) * np.arange(frames)
        stretch = wander(rng, frames, lively * 0.35 * rng.random(), 25)[:, 0]
        tilt = wander(rng, frames, np.full(2, lively * 0.2 * rng.random()), 25)
        matrices = placement(similarity(way, scale, angle), stretch, np.clip(tilt, -0.4, 0.4), sprite.size)
        pace = rng.uniform(0.1, 0.5)
        poses = (rng.uniform(0, 9) + pace * np.arange(frames)).astype(int) % len(appearances)
        return Actor(sprite, matrices, poses, role)


def _direction(turn: float | np.ndarray) -> np.ndarray:
    """Unit vectors [..., 2] at angles [...]."""
    return np.stack([np.cos(turn), np.sin(turn)], axis=-1)


def _covers(actor: Actor, target: Actor) -> bool:
    """Whether an actor would hide a noticeable part of the target in the first frame, which a tracker starts from."""
    a, b = actor.boxes[0], target.boxes[0]
    overlap = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    return bool((overlap > 0).all() and overlap.prod() > 0.1 * b[2:].prod())
