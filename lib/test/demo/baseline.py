"""Trackers to compare with: the box that never moves, and what OpenCV has."""

import logging
import time
from collections.abc import Callable
from collections.abc import Sequence as Ordered
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from tqdm import tqdm

from ...core.errors import InputError
from ...datasets.sequence import Sequence
from ..analysis.board import Entry, speed_of, videos_of
from ..metrics import Protocol as Rules
from ..metrics import score

log = logging.getLogger(__name__)


class Follower(Protocol):
    """One target in one stream. Images are [H, W, 3] uint8 BGR, boxes [4] xywh pixels."""

    def start(self, image: np.ndarray, box: np.ndarray) -> None: ...
    def follow(self, image: np.ndarray) -> np.ndarray: ...


class Baseline(NamedTuple):
    """A kind of tracker: its name in tables, how one is made for a new target, whether it looks at the images."""

    name: str
    make: Callable[[], Follower]
    looks: bool = True


class StaticBox:
    """The first box, for ever: what a benchmark gives for nothing."""

    def start(self, image: np.ndarray, box: np.ndarray) -> None:
        self.box = box

    def follow(self, image: np.ndarray) -> np.ndarray:
        return self.box


class OpenCVTracker:
    """Any of OpenCV's trackers. They take and give whole pixels; a lost target stays where it was last seen."""

    def __init__(self, tracker: Any):
        self.tracker = tracker

    def start(self, image: np.ndarray, box: np.ndarray) -> None:
        self.box = box
        self.tracker.init(image, tuple(int(value) for value in np.round(box)))

    def follow(self, image: np.ndarray) -> np.ndarray:
        found, box = self.tracker.update(image)
        if found:
            self.box = np.array(box, np.float64)
        return self.box


def baselines(nano_backbone: str | None = None, nano_head: str | None = None) -> list[Baseline]:
    """Static box, MIL, and NanoTrackV2 where both of its ONNX files are given.

    A tracker that this build of OpenCV lacks is left out, and said so. Raises InputError for a missing ONNX file.
    """
    found = [Baseline("static box", StaticBox, looks=False)]
    mil = _find("TrackerMIL")
    if mil is not None:
        found.append(Baseline("OpenCV MIL", lambda: OpenCVTracker(mil())))
    if nano_backbone is None and nano_head is None:
        log.info("NanoTrackV2 is left out: --nano_backbone and --nano_head name its ONNX files")
        return found
    for option, path in (("--nano_backbone", nano_backbone), ("--nano_head", nano_head)):
        if path is None or not Path(path).is_file():
            raise InputError(f"{option} {path}: file does not exist; NanoTrackV2 needs both of its ONNX files")
    nano = _find("TrackerNano")
    if nano is not None:
        parameters = cv2.TrackerNano.Params()
        parameters.backbone, parameters.neckhead = str(nano_backbone), str(nano_head)
        found.append(Baseline("NanoTrackV2", lambda: OpenCVTracker(nano(parameters))))
    return found


def evaluate_baseline(baseline: Baseline, sequences: Ordered[Sequence], modality: int, protocol: Rules) -> Entry:
    """Follow all sequences in one of their streams and score them. Raises InputError as `run_baseline` does."""
    videos = videos_of(sequences)
    boxes, seconds = zip(*(run_baseline(baseline, sequence, modality) for sequence in sequences), strict=True)
    scores = score(protocol, [video.truth for video in videos], boxes)
    stream = sequences[0].frames.modalities[modality]
    name = f"{baseline.name}, {stream}" if baseline.looks else baseline.name
    return Entry(name, tuple(video.name for video in videos), scores, speed_of(seconds) if baseline.looks else None)


def run_baseline(baseline: Baseline, sequence: Sequence, modality: int) -> tuple[np.ndarray, np.ndarray]:
    """Follow one sequence in one of its streams: boxes [T, 4] xywh pixels, seconds [T], images decoded beforehand.

    Raises InputError when OpenCV refuses the first box.
    """
    follower = baseline.make()
    boxes, seconds = [sequence.boxes[0]], []
    for index in tqdm(
        range(len(sequence)), f"{baseline.name} {sequence.name}", leave=False, disable=None, unit="frame"
    ):
        image = np.ascontiguousarray(sequence.frames[index][modality][..., ::-1])
        began = time.perf_counter()
        if index:
            boxes.append(follower.follow(image))
        else:
            _start(follower, image, baseline.name, sequence)
        seconds.append(time.perf_counter() - began)
    return np.array(boxes, np.float64), np.array(seconds)


def _start(follower: Follower, image: np.ndarray, name: str, sequence: Sequence) -> None:
    try:
        follower.start(image, sequence.boxes[0])
    except cv2.error as error:
        raise InputError(f"{sequence.name}: {name} cannot start from {sequence.boxes[0]}: {error.err}") from None


def _find(name: str) -> Callable[..., Any] | None:
    """The factory of an OpenCV tracker: the main module since 4.5.1 and in 5, `legacy` of the contrib package else."""
    for module in (cv2, getattr(cv2, "legacy", None)):
        create = getattr(module, f"{name}_create", None) or getattr(getattr(module, name, None), "create", None)
        if create is not None:
            return create
    log.warning("%s is left out: OpenCV %s was built without it", name, cv2.__version__)
    return None
