"""The imaging conditions of a scene: exposure, fog, blur, thermal crossover and noise, per modality and frame."""

from dataclasses import dataclass, field

import numpy as np

from .motion import wander

FAIR = {"gain": 1.0, "gamma": 1.0, "veil": 0.0, "veil_level": 0.6, "noise": 2.0, "blur": 0.0, "fade": 1.0}
FAINT = (0.15, 0.5)  # opacity; what darkness or fog leaves of an object is then below the noise
# Ranges of what changes. A severe condition makes a modality useless, a mild one only makes it harder.
VISIBLE = {
    "severe": {
        "dark": {"gain": (0.02, 0.09), "gamma": (1, 1.4), "noise": (4, 10), "fade": FAINT},
        "overexposed": {"gain": (2.5, 6), "gamma": (0.4, 0.7), "fade": FAINT},
        "fog": {"veil": (0.93, 0.99), "veil_level": (0.45, 0.9), "noise": (3, 8), "fade": FAINT},
        "blurred": {"blur": (14, 22), "gain": (0.08, 0.3), "noise": (4, 9), "fade": FAINT},
        "camouflage": {"fade": (0.0, 0.15), "noise": (2, 8)},
    },
    "mild": {
        "dark": {"gain": (0.3, 0.8), "noise": (2, 7)},
        "overexposed": {"gain": (1.2, 2)},
        "fog": {"veil": (0.15, 0.55), "veil_level": (0.4, 0.9)},
        "blurred": {"blur": (3, 8)},
        "noisy": {"noise": (6, 16)},
        "camouflage": {"fade": (0.4, 0.85)},
    },
}
INFRARED = {
    "severe": {
        "crossover": {"fade": (0.0, 0.18), "noise": (2, 8)},
        "low_contrast": {"veil": (0.92, 0.98), "veil_level": (0.2, 0.7), "noise": (4, 9), "fade": FAINT},
        "noisy": {"veil": (0.5, 0.8), "noise": (30, 50), "fade": FAINT},
        "saturated": {"gain": (3.5, 8), "gamma": (0.4, 0.8)},
    },
    "mild": {
        "crossover": {"fade": (0.5, 0.85)},
        "low_contrast": {"veil": (0.3, 0.65), "veil_level": (0.2, 0.7)},
        "noisy": {"noise": (8, 20)},
        "saturated": {"gain": (1.2, 1.6), "gamma": (1, 1.3)},
        "inverted": {"gain": (1, 1)},
    },
}
INFORMATIVE = ("both", "visible", "infrared")
SHARES = (0.6, 0.15, 0.25)
GREY = 0.3  # share of sequences whose visible camera has no colour


@dataclass(frozen=True, eq=False)
class Conditions:
    """The conditions of one modality over T frames."""

    kind: str
    curves: np.ndarray  # [T, 256] uint8 tone curves
    noise: np.ndarray  # [T] standard deviation, grey levels
    fade: np.ndarray  # [T] opacity of objects against the background (1: opaque, 0: invisible)
    blur: np.ndarray  # [T] length of the motion blur, pixels
    direction: float  # of the motion blur, radians
    softness: float  # of the optics, pixels
    quality: int | None  # of JPEG, where the stream went through it


@dataclass(frozen=True, eq=False)
class Weather:
    """The conditions of both modalities, and which of them shows the target."""

    informative: str  # one of INFORMATIVE
    visible: Conditions
    infrared: Conditions
    grey: bool  # the visible camera has no colour
    flags: dict[str, bool] = field(default_factory=dict)  # LI HI AIV MB TC


def draw_weather(rng: np.random.Generator, frames: int, *, visible_only: bool = False) -> Weather:
    """Draw the conditions of a sequence: both modalities informative 60 %, visible only 15 %, infrared only 25 %.

    visible_only: the infrared stream will not be used.
    """
    informative = "visible" if visible_only else str(rng.choice(INFORMATIVE, p=SHARES))
    # Where one modality is useless, the other is mostly clear: otherwise the target could not be found.
    trouble = {"both": 0.55, "visible": 0.2, "infrared": 0.2}[informative]
    visible = _draw_conditions(rng, frames, VISIBLE, None if informative == "infrared" else trouble)
    infrared = _draw_conditions(rng, frames, INFRARED, None if informative == "visible" else trouble)
    jump = informative != "infrared" and rng.random() < 0.05
    if jump:
        frame = int(rng.integers(1, frames))
        dimmed = visible.curves[frame:] * rng.uniform(0.35, 0.6)
        visible.curves[frame:] = dimmed.astype(np.uint8)
    flags = {
        "LI": visible.kind == "dark",
        "HI": visible.kind == "overexposed",
        "AIV": bool(jump),
        "MB": bool((visible.blur > 3).any()),
        "TC": infrared.kind == "crossover",
    }
    return Weather(informative, visible, infrared, bool(rng.random() < GREY), flags)


def _draw_conditions(rng: np.random.Generator, frames: int, kinds: dict, trouble: float | None) -> Conditions:
    """trouble: share of streams in a mild condition; None: a severe condition, the modality is useless."""
    useless = trouble is None
    table = kinds["severe" if useless else "mild"]
    kind = str(rng.choice(list(table))) if trouble is None or rng.random() < trouble else "clear"
    drawn = {key: rng.uniform(*limits) for key, limits in table.get(kind, {}).items()}
    strength = _course(rng, frames, useless)[:, None]
    state = {key: fair + (drawn.get(key, fair) - fair) * strength[:, 0] for key, fair in FAIR.items()}
    state["veil_level"] = np.full(frames, drawn.get("veil_level", FAIR["veil_level"]))
    state["noise"] = state["noise"] * rng.uniform(0.4, 1.4)
    state["gain"] = state["gain"] * np.exp(wander(rng, frames, 0.04 + 0.12 * rng.random(), 20)[:, 0])
    state["gamma"] = state["gamma"] * np.exp(rng.normal(0, 0.15))
    return Conditions(
        kind=kind,
        curves=_curves(state, inverted=kind == "inverted"),
        noise=state["noise"],
        fade=state["fade"],
        blur=state["blur"] * (kind == "blurred"),
        direction=rng.uniform(0, np.pi),
        softness=rng.uniform(0.5, 1.6) if kinds is INFRARED else max(0.0, rng.uniform(-0.6, 1.1)),
        quality=int(rng.integers(35, 92)) if rng.random() < 0.25 else None,
    )


def _course(rng: np.random.Generator, frames: int, useless: bool) -> np.ndarray:
    """[T] strength of the condition in [0, 1]: constant, or a ramp up or down (20 % of severe ones, 50 % of mild)."""
    level = rng.uniform(0.85, 1)
    if rng.random() > (0.2 if useless else 0.5):
        return np.full(frames, level)
    start, length = rng.uniform(-0.2, 0.7) * frames, rng.uniform(0.05, 0.5) * frames
    ramp = np.clip((np.arange(frames) - start) / length, 0, 1)
    return level * (ramp if rng.random() < 0.5 else 1 - ramp)


def _curves(state: dict[str, np.ndarray], inverted: bool) -> np.ndarray:
    """[T, 256] uint8: gamma, exposure, then the veil of fog (or the flattening of a detector)."""
    level = np.linspace(0, 1, 256)[None]
    column = {key: value[:, None] for key, value in state.items()}
    toned = np.clip(column["gain"] * level ** column["gamma"], 0, 1)
    toned = 1 - toned if inverted else toned
    return np.round(255 * (toned * (1 - column["veil"]) + column["veil"] * column["veil_level"])).astype(np.uint8)
