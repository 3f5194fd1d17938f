"""A contact sheet of training pairs, to see at a glance what a network is trained on."""

import cv2
import numpy as np

from ...core.boxes import cxcywh_to_xywh, xywh_to_cxcywh, xywh_to_xyxy
from ...core.crop import cut
from ...core.view import place_square
from ..sequence import Sequence

TEMPLATE, SEARCH = (2.0, 64), (4.0, 128)  # crop factor, side in pixels on the sheet
LEAST_VISIBLE = 0.5


def contact_sheet(sequences: list[Sequence], *, columns: int = 4) -> np.ndarray:
    """One pair per sequence: template (visible above infrared), search visible, search infrared with the box.

    Returns [H, W, 3] uint8 RGB. The search crop is jittered as in training (OSTrack: centre by up to 1.5 target
    sides, scale by exp(0.25 N(0, 1))).
    """
    pairs = [pair for k, sequence in enumerate(sequences) if (pair := _pair(sequence, np.random.default_rng(k))).size]
    pairs += [np.zeros_like(pairs[0])] * (-len(pairs) % columns)
    return np.vstack([np.hstack(pairs[start : start + columns]) for start in range(0, len(pairs), columns)])


def _pair(sequence: Sequence, rng: np.random.Generator) -> np.ndarray:
    """[134, 326, 3] uint8, or an empty array when the target is visible in fewer than two frames."""
    share = np.ones(len(sequence.boxes)) if sequence.visible_share is None else sequence.visible_share
    usable = np.nonzero(sequence.valid & (share >= LEAST_VISIBLE))[0]
    if len(usable) < 2:
        return np.zeros(0, np.uint8)
    first, second = (int(frame) for frame in np.sort(rng.choice(usable, 2, replace=False)))
    template = _crop(sequence, first, sequence.boxes[first], TEMPLATE)
    around = _jittered(rng, sequence.boxes[second])
    search = _crop(sequence, second, around, SEARCH)
    size = sequence.frames[second][0].shape[:2]
    box = place_square(around, *SEARCH, size).to_crop(sequence.boxes[second]) * SEARCH[1]
    corners = np.round(xywh_to_xyxy(box)).astype(int)
    for image in search:
        cv2.rectangle(image, corners[:2].tolist(), corners[2:].tolist(), (0, 255, 0), 1)
    row = np.hstack([np.vstack(template), *search])
    return cv2.copyMakeBorder(row, 3, 3, 3, 3, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def _crop(sequence: Sequence, frame: int, around: np.ndarray, look: tuple[float, int]) -> list[np.ndarray]:
    images = sequence.frames[frame]
    view = place_square(around, *look, images[0].shape[:2])
    return [cut(image, view).copy() for image in images]


def _jittered(rng: np.random.Generator, box: np.ndarray) -> np.ndarray:
    centre = xywh_to_cxcywh(box)
    size = box[2:] * np.exp(0.25 * rng.normal(0, 1, 2))
    moved = centre[:2] + np.sqrt(size.prod()) * 1.5 * rng.uniform(-1, 1, 2)
    return cxcywh_to_xywh(np.concatenate([moved, size]))
