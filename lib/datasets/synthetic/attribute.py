"""LasHeR's 19 attribute flags of a synthetic scene, computed from the scene."""

import numpy as np

from ..readers.lasher import ATTRIBUTES
from .scene import Scene

LOW_RESOLUTION = 400  # pixels of the smallest box
FAST = 20  # pixels between two frames


def attributes(scene: Scene) -> dict[str, bool]:
    """The flags by name in LasHeR's order (Li et al., TIP 2022); FL, a lost frame, never happens here."""
    boxes, share = scene.boxes, scene.visible_share
    present = boxes[:, 2] > 0
    shown = boxes[present] if present.any() else np.ones((1, 4))
    area, aspect = shown[:, 2:].prod(1), shown[:, 2] / shown[:, 3]
    steps = np.linalg.norm(np.diff(shown[:, :2] + shown[:, 2:] / 2, axis=0), axis=1)
    covered = share[present] if present.any() else np.zeros(1)
    roles = {actor.role for actor in scene.actors}
    target = scene.actors[scene.target]
    glass = any(actor.opacity < 1 for actor in scene.actors)
    flags = {
        "NO": bool(covered.min() > 0.95),
        "PO": bool((covered <= 0.95).any()),
        "TO": bool((covered < 0.05).any()),
        "HO": glass,
        "LR": bool(area.min() < LOW_RESOLUTION),
        "DEF": len(target.sprite.appearances) > 1,
        "BC": scene.weather.informative != "both",
        "SA": bool(roles & {"twin", "same_kind"}),
        "CM": scene.camera.moving,
        "OV": not present.all(),
        "FM": bool((steps > FAST).any()),
        "SV": _outside(area / area[0]),
        "ARC": _outside(aspect / aspect[0]),
        **scene.weather.flags,
    }
    return {name: flags.get(name, False) for name in ATTRIBUTES}


def _outside(ratio: np.ndarray) -> bool:
    """Whether a ratio to the first frame leaves [0.5, 2]."""
    return bool((ratio < 0.5).any() or (ratio > 2).any())
