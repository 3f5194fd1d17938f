"""A walking person drawn from body parts, with gait and body heat: the most common target of thermal video."""

import cv2
import numpy as np

from .sprite import Appearance

HEIGHT, WIDTH = 132, 84
SKIN, HAIR, SHIRT, TROUSERS, SHOES, BAG = 1, 2, 3, 4, 5, 6


def walker(rng: np.random.Generator, poses: int = 6) -> list[Appearance]:
    """The phases of one step of a random person: colours, clothing heat and build drawn at random."""
    build = _Build(rng)
    rgb, heat = _colours(rng).astype(np.float32), _temperatures(rng)
    folds = rng.normal(1, rng.uniform(0.05, 0.3), (14, 7, 1)).astype(np.float32)
    light = cv2.resize(folds, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[..., None]
    appearances = []
    for phase in np.linspace(0, 2 * np.pi, poses, endpoint=False):
        parts = build.draw(phase)
        grown = cv2.dilate(parts, np.ones((3, 3), np.uint8))
        body = np.where(parts > 0, parts, grown)
        alpha = cv2.GaussianBlur((parts > 0).astype(np.uint8) * 255, (0, 0), 0.9)
        clothed = cv2.convertScaleAbs(np.maximum(rgb[body] * light, 0))
        appearances.append(Appearance(clothed, cv2.GaussianBlur(heat[body], (0, 0), 1.2), alpha))
    return appearances


class _Build:
    """Proportions and stance of one person, in canvas pixels."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.stout = rng.uniform(0.75, 1.35)
        self.stride = rng.uniform(0.1, 0.55) if rng.random() < 0.85 else 0.0
        self.swing = self.stride * rng.uniform(0.3, 1)
        self.lean = rng.normal(0, 0.05)
        self.skirt = rng.random() < 0.25
        self.bag = rng.random() < 0.3
        self.side = rng.choice([-1, 1])

    def draw(self, phase: float) -> np.ndarray:
        """[HEIGHT, WIDTH] uint8 labels of the body parts at a phase of the step."""
        parts = np.zeros((HEIGHT, WIDTH), np.uint8)
        hip = np.array([WIDTH / 2, HEIGHT * 0.53])
        neck = hip + np.array([self.lean * 40, -HEIGHT * 0.33])
        swing = np.sin(phase)
        self._limb(parts, neck + [0, 5], (-self.swing * swing, HEIGHT * 0.2), (SHIRT, SKIN), 8)
        for direction in (-1, 1):
            lift = 0.25 * self.stride * max(0.0, direction * np.cos(phase))
            self._leg(parts, hip, direction * self.stride * swing, lift)
        width = round(22 * self.stout)
        cv2.line(parts, _pixel(neck + [0, 6]), _pixel(hip), SHIRT, width, cv2.LINE_8)
        if self.skirt:
            hem = hip + [0, HEIGHT * 0.18]
            cv2.line(parts, _pixel(hip), _pixel(hem), SHIRT, width + 4, cv2.LINE_8)
        if self.bag:
            cv2.ellipse(parts, _pixel(neck + [self.side * width * 0.6, 16]), (6, 11), 0, 0, 360, BAG, -1)
        self._limb(parts, neck + [0, 5], (self.swing * swing, HEIGHT * 0.2), (SHIRT, SKIN), 8)
        head = neck - [0, HEIGHT * 0.055]
        cv2.ellipse(parts, _pixel(head), (8, 10), 0, 0, 360, SKIN, -1)
        cv2.ellipse(parts, _pixel(head - [self.side, 3]), (8, 7), 0, 0, 360, HAIR, -1)
        return parts

    def _limb(
        self, parts: np.ndarray, start: np.ndarray, reach: tuple[float, float], labels: tuple[int, int], width: int
    ) -> None:
        angle, length = reach
        way = length * np.array([np.sin(angle), np.cos(angle)])
        cv2.line(parts, _pixel(start), _pixel(start + way), labels[0], round(width * self.stout))
        cv2.circle(parts, _pixel(start + way * 1.12), round(3.2 * self.stout), labels[1], -1)

    def _leg(self, parts: np.ndarray, hip: np.ndarray, angle: float, lift: float) -> None:
        length, width = HEIGHT * 0.2, round(11 * self.stout)
        knee = hip + length * np.array([np.sin(angle + lift), np.cos(angle + lift)])
        foot = knee + length * np.array([np.sin(angle - lift), np.cos(angle - lift)])
        cv2.line(parts, _pixel(hip), _pixel(knee), TROUSERS, width)
        cv2.line(parts, _pixel(knee), _pixel(foot), TROUSERS, max(3, width - 2))
        cv2.line(parts, _pixel(foot), _pixel(foot + [self.side * 6, 1]), SHOES, 5)


def _colours(rng: np.random.Generator) -> np.ndarray:
    """[7, 3] uint8 RGB by part label."""
    table = rng.uniform(10, 235, (7, 3)) * 0.5 + rng.uniform(10, 235, (7, 1)) * 0.5
    table[SKIN] = rng.uniform(70, 215) * np.array([1, 0.8, 0.68])
    table[HAIR] = rng.uniform(10, 140) * np.array([1, 0.85, 0.7])
    table[[TROUSERS, SHOES]] *= rng.uniform(0.3, 1)
    return np.clip(table, 0, 255).astype(np.uint8)


def _temperatures(rng: np.random.Generator) -> np.ndarray:
    """[7] uint8 heat by part label: skin warmest, thick clothes cool."""
    table = np.full(7, rng.uniform(140, 200))
    table += rng.normal(0, 25, 7)
    table[SKIN], table[BAG] = rng.uniform(200, 245), rng.uniform(60, 170)
    table[HAIR] = table[SKIN] - rng.uniform(0, 60)
    return np.clip(table, 30, 250).astype(np.uint8)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
