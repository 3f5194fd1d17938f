"""One video from input to picture: who is followed, what is drawn, where it goes."""

import os
import sys
from collections.abc import Sequence as Ordered
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from lib.core.errors import InputError
from lib.datasets.sequence import Sequence
from lib.test.draw import GREEN, Mark, contact_sheet, draw_frame
from lib.test.engine import Step, follow_steps
from lib.test.entries import videos_of
from lib.test.metrics import PLAIN, score
from lib.test.results import write_result
from lib.test.tracker import Tracker
from lib.test.video import write_image, write_video

SHEET_PICTURES = 8


class Film(NamedTuple):
    """What a demo made. N frames."""

    boxes: np.ndarray  # [N, 4] xywh, pixels
    seconds: np.ndarray  # [N] of the tracker alone
    figures: dict[str, float]  # metric name -> [0, 1]; empty without an annotation of every frame


def make_film(tracker: Tracker, sequence: Sequence, box: np.ndarray, folder: Path, frames_per_second: float) -> Film:
    """Follow one target from `box` (xywh, pixels of the first frame) and write into `folder`:
    tracking.mp4 (annotated, modalities side by side), boxes.txt, boxes_time.txt and contact_sheet.png.
    """
    started = replace(sequence, boxes=np.asarray(box, np.float64)[None], annotated=None)
    truth = _truth_by_frame(sequence)
    picked = set(np.linspace(0, len(sequence) - 1, SHEET_PICTURES).round().astype(int).tolist())
    boxes, seconds, sheet = [], [], []
    with write_video(folder / "tracking.mp4", frames_per_second) as append:
        for step in tqdm(follow_steps(tracker, started), total=len(sequence), unit="frame", dynamic_ncols=True):
            boxes.append(step.target.box)
            seconds.append(step.seconds)
            picture = _picture(step, sequence, truth.get(step.index))
            append(picture)
            if step.index in picked:
                sheet.append(picture)
    film = Film(np.stack(boxes), np.array(seconds), _figures(sequence, np.stack(boxes)))
    write_result(folder, "boxes", film.boxes, film.seconds)
    write_image(folder / "contact_sheet.png", contact_sheet(sheet))
    return film


def parse_box(text: str) -> np.ndarray:
    """`x,y,w,h` -> [4] float64 pixels. Raises InputError for anything else."""
    try:
        box = np.array([float(number) for number in text.split(",")])
    except ValueError:
        box = np.array([])
    if box.shape != (4,) or not np.isfinite(box).all() or (box[2:] <= 0).any():
        raise InputError(
            f"--box {text}: expected x,y,w,h in pixels, width and height above 0, for example 120,80,40,60"
        )
    return box


def draw_box_by_mouse(image: np.ndarray) -> np.ndarray:
    """Let the user draw the target's box on an image [H, W, 3] uint8 RGB: [4] xywh pixels.

    Raises InputError when there is no screen or no box was drawn.
    """
    remedy = "give the target's box in the first frame with --box x,y,w,h"
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(f"no screen to select a target on; {remedy}")
    title = "draw a box around the target, then press ENTER"
    try:
        box = cv2.selectROI(title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), showCrosshair=False)
        cv2.destroyWindow(title)
    except cv2.error:
        raise InputError(f"this OpenCV cannot open a window; {remedy}") from None
    if box[2] <= 0 or box[3] <= 0:
        raise InputError(f"no box was drawn; {remedy}")
    return np.array(box, np.float64)


def fresh_folder(wanted: str | Path) -> Path:
    """Make and return `wanted` or, where it holds something already, `wanted`_2, `wanted`_3, …"""
    wanted = Path(wanted)
    folder, number = wanted, 1
    while folder.exists() and not (folder.is_dir() and next(folder.iterdir(), None) is None):
        number += 1
        folder = wanted.with_name(f"{wanted.name}_{number}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _picture(step: Step, sequence: Sequence, truth: np.ndarray | None) -> np.ndarray:
    marks = [] if truth is None else [Mark(truth, colour=GREEN)]
    marks.append(Mark(step.target.box, f"{step.target.score:.2f}"))
    return draw_frame(step.images, marks, _titles(step, sequence.frames.modalities, len(sequence), truth is not None))


def _titles(step: Step, modalities: Ordered[str], length: int, annotated: bool) -> list[str]:
    titles = list(modalities)
    titles[0] += f"  {step.index + 1}/{length}"
    if annotated:
        titles[-1] += "  (green: annotation)"
    return titles


def _truth_by_frame(sequence: Sequence) -> dict[int, np.ndarray]:
    """Frame index -> annotated box; empty where the annotation only says where the target starts."""
    if len(sequence.boxes) < 2:
        return {}
    frames = range(len(sequence.boxes)) if sequence.annotated is None else sequence.annotated.tolist()
    return dict(zip(frames, sequence.boxes, strict=True))


def _figures(sequence: Sequence, boxes: np.ndarray) -> dict[str, float]:
    if len(sequence.boxes) < 2 or len(sequence.boxes) != len(sequence):
        return {}
    return score(PLAIN, [video.truth for video in videos_of([sequence])], [boxes]).overall
