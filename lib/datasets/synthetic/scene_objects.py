"""The objects of a scene: the target, its distractors (twins, others of its kind, things of any kind) and occluders."""

from dataclasses import dataclass

import cv2
import numpy as np

from .figure import walker
from .material import Cutout, Material
from .outline import closed_spline
from .sprite import Appearance, bend, fit, recoloured, reheated
from .thermal import surface_heat

THEMES = {"body": 0.17, "walker": 0.18, "cutout": 0.3, "piece": 0.35}
UPRIGHT = ("body", "walker")
CATEGORIES = {"body": "person", "walker": "person"}  # of a theme, where it is not called as the theme


@dataclass(frozen=True, eq=False)
class SceneObjects:
    """The appearances of a scene's objects: a list of poses for each object."""

    theme: str
    target: list[Appearance]
    twins: list[list[Appearance]]  # distractors like the target in one modality
    same_kind: list[list[Appearance]]  # distractors of the target's kind
    others: list[list[Appearance]]  # distractors of any kind
    occluders: list[list[Appearance]]


def draw_theme(rng: np.random.Generator, material: Material) -> str:
    """The kind of a scene's target."""
    usable = {theme: share for theme, share in THEMES.items() if theme != "body" or len(material.bodies) > 4}
    weights = np.array(list(usable.values()))
    return str(rng.choice(list(usable), p=weights / weights.sum()))


class ObjectMaker:
    """Makes the objects of one scene, whose target is of one kind."""

    def __init__(self, rng: np.random.Generator, material: Material, theme: str, ambient: float) -> None:
        """theme: one of THEMES; ambient: mean infrared grey level of the background, from which heat is drawn."""
        self.rng, self.material, self.theme, self.ambient = rng, material, theme, ambient
        self.family = self._family()
        self.source = material.photos[rng.integers(len(material.photos))]
        self.outline = closed_spline(rng, 64, 64)

    def make_all(
        self, size: float, informative: str, background: np.ndarray, native: Appearance | None = None
    ) -> SceneObjects:
        """The objects of a scene around a target of `size` pixels (square root of its box area).

        native: the target, when it is a part of the background.
        """
        rng = self.rng
        level = self.level() if native is None else float(native.heat.mean())
        target = self.make_object(size, level, bool(rng.random() < 0.5)) if native is None else [native]
        twins = [self._twin(target, informative) for _ in range(int(rng.choice([0, 1, 2], p=[0.3, 0.55, 0.15])))]
        near = [level + rng.normal(0, 12) if rng.random() < 0.5 else self.level() for _ in range(rng.integers(1, 4))]
        same_kind = [self.make_object(size * np.exp(rng.normal(0, 0.22)), heat, rng.random() < 0.2) for heat in near]
        others = [self._other(size, background) for _ in range(rng.integers(0, 3))]
        occluders = [self._occluder(size, background) for _ in range(int(rng.choice([0, 1, 2], p=[0.5, 0.35, 0.15])))]
        return SceneObjects(self.theme, target, twins, same_kind, others, occluders)

    def level(self) -> float:
        """The mean heat of an object: well away from the background's, warmer in three of four cases."""
        contrast = self.rng.uniform(45, 130)
        warm, cold = self.ambient + contrast, self.ambient - contrast
        if self.theme in UPRIGHT:
            return min(warm, 235) if self.rng.random() < 0.9 else max(cold, 15)
        if cold <= 15:
            return min(warm, 245)
        return warm if warm < 245 and self.rng.random() < 0.7 else cold

    def make_object(self, size: float, level: float, sways: bool) -> list[Appearance]:
        """The poses of one object of the scene's kind, at `size` pixels and mean heat `level`."""
        rng = self.rng
        if self.theme == "walker":
            appearances = [_cropped(appearance) for appearance in walker(rng, int(rng.integers(4, 7)))]
            appearances = [fit(appearance, size) for appearance in _same_frame(appearances)]
            return [appearance._replace(heat=_levelled(appearance.heat, level, 1.0)) for appearance in appearances]
        appearance = fit(appearance_of(self._pick()), size)
        if self.theme == "body":
            appearance = appearance._replace(heat=_levelled(appearance.heat, level, rng.uniform(0.7, 1.3)))
        else:
            pattern = surface_heat(rng, appearance.rgb)
            appearance = appearance._replace(
                heat=np.clip(level + rng.uniform(3, 32) * pattern, 0, 255).astype(np.uint8)
            )
        if rng.random() < 0.5:
            appearance = Appearance(*(np.ascontiguousarray(plane[:, ::-1]) for plane in appearance))
        if rng.random() < 0.3:
            appearance = appearance._replace(rgb=_retoned(rng, appearance.rgb))
        return bend(rng, appearance, 5) if sways else [appearance]

    def _pick(self) -> Cutout:
        if self.theme == "body":
            return self.material.bodies[self.rng.integers(len(self.material.bodies))]
        if self.theme == "cutout":
            group = self.material.families[self.family]
            if len(group) > 2 or self.rng.random() < 0.3:
                return group[self.rng.integers(len(group))]
            return self.material.cutouts[self.rng.integers(len(self.material.cutouts))]
        return self._piece(self.source, self.rng.uniform(24, 110))

    def _piece(self, picture: np.ndarray, side: float, stretch: float | None = None) -> Cutout:
        """A free-form piece of a photograph, `side` source pixels large."""
        rng = self.rng
        stretch = float(np.exp(rng.normal(0, 0.45))) if stretch is None else stretch
        limit = np.array(picture.shape[:2]) - 1
        h, w = np.minimum([side * stretch**0.5, side * stretch**-0.5], limit).astype(int).clip(8)
        y, x = rng.integers(0, limit[0] - h + 1), rng.integers(0, limit[1] - w + 1)
        fresh = rng.random() < 0.6
        alpha = closed_spline(rng, h, w) if fresh else cv2.resize(self.outline, (int(w), int(h)))
        return Cutout(picture[y : y + h, x : x + w], alpha, None, "piece")

    def _twin(self, target: list[Appearance], informative: str) -> list[Appearance]:
        """Like the target in one modality; never in the only informative one."""
        visible_differs = informative == "visible" or (informative == "both" and self.rng.random() < 0.5)
        return recoloured(self.rng, target) if visible_differs else reheated(self.rng, target)

    def _other(self, size: float, background: np.ndarray) -> list[Appearance]:
        theme, self.theme = self.theme, str(self.rng.choice(["walker", "cutout", "piece"]))
        family, self.family = self.family, self._family()
        source = self.source
        self.source = (
            background
            if self.rng.random() < 0.3
            else self.material.photos[self.rng.integers(len(self.material.photos))]
        )
        appearances = self.make_object(size * np.exp(self.rng.normal(0, 0.4)), self.level(), False)
        self.theme, self.family, self.source = theme, family, source
        return appearances

    def _occluder(self, size: float, background: np.ndarray) -> list[Appearance]:
        """A foreground piece like a pole, a trunk or a bush, cut from this background or another photograph."""
        rng = self.rng
        stretch = float(rng.choice([1, 1, rng.uniform(4, 12)])) * float(np.exp(rng.normal(0, 0.3)))
        source = background if rng.random() < 0.5 else self.material.photos[rng.integers(len(self.material.photos))]
        side = np.clip(size * rng.uniform(0.6, 1.6), 8, 110)
        appearance = fit(appearance_of(self._piece(source, max(side, 24), stretch)), side)
        level = self.ambient + rng.normal(0, 30)
        heat = np.clip(level + rng.uniform(2, 20) * surface_heat(rng, appearance.rgb), 0, 255).astype(np.uint8)
        return [appearance._replace(heat=heat)]

    def _family(self) -> str:
        names = list(self.material.families)
        return names[self.rng.integers(len(names))]


def appearance_of(cutout: Cutout) -> Appearance:
    """A cut-out as an appearance; where its infrared is not known, its mask is a placeholder until heat is drawn."""
    return Appearance(cutout.rgb, cutout.alpha if cutout.heat is None else cutout.heat, cutout.alpha)


def _levelled(heat: np.ndarray, level: float, gain: float) -> np.ndarray:
    mean = float(heat.mean())
    return np.clip(level + gain * (heat - mean), 0, 255).astype(np.uint8)


def _retoned(rng: np.random.Generator, rgb: np.ndarray) -> np.ndarray:
    """The same colours under another light and tint, sometimes with permuted channels."""
    mix = np.eye(3) if rng.random() < 0.5 else np.eye(3)[rng.permutation(3)]
    mix = mix * rng.uniform(0.6, 1.3, (3, 1))
    return cv2.transform(rgb, np.hstack([mix, rng.uniform(-15, 25, (3, 1))]).astype(np.float32))


def _same_frame(appearances: list[Appearance]) -> list[Appearance]:
    """Poses padded to one image size, that of the largest."""
    height = max(appearance.alpha.shape[0] for appearance in appearances)
    width = max(appearance.alpha.shape[1] for appearance in appearances)
    return [
        Appearance(*(_centred(plane, height, width, plane is appearance.alpha) for plane in appearance))
        for appearance in appearances
    ]


def _centred(plane: np.ndarray, height: int, width: int, transparent: bool) -> np.ndarray:
    top, left = height - plane.shape[0], (width - plane.shape[1]) // 2
    kind = cv2.BORDER_CONSTANT if transparent else cv2.BORDER_REPLICATE
    return cv2.copyMakeBorder(plane, top, 0, left, width - plane.shape[1] - left, kind)


def _cropped(appearance: Appearance) -> Appearance:
    x, y, w, h = cv2.boundingRect((appearance.alpha > 127).astype(np.uint8))
    return Appearance(*(plane[y : y + h, x : x + w] for plane in appearance))
