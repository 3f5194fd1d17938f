"""OpenCV's trackers, for comparison. They read one image, use integer boxes and change their state in place, so their
targets cannot be pickled and a frame cannot be tracked twice."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from easydict import EasyDict

from ...core.errors import InputError
from ...core.frame import Frame, Images, Streams
from ...core.target import Target
from .protocol import Observer, check_first_box, name_targets, read_frame
from .replay import StaticBox

#: Values of MODEL.NAME for trackers without weights of this toolbox.
KINDS = ("static", "mil", "nano")
#: MODEL.NAME -> keys of the ONNX files that it needs.
FILES = {"nano": ("BACKBONE_FILE", "HEAD_FILE")}


class OpenCVTracker:
    """A tracker of OpenCV on one stream, or on the mean of both. A lost target keeps its last box."""

    streams = Streams()
    corrects = False

    def __init__(self, make: Callable[[], Any], stream: str):
        """make: creates an object of OpenCV's tracker; stream: visible, infrared or both."""
        self._make, self._stream = make, stream

    def start(
        self, frames: Sequence[Images | Frame], boxes: Sequence[np.ndarray], names: Sequence[str] = ()
    ) -> list[Target]:
        """As `Tracker.start`. Also raises InputError where OpenCV refuses a box."""
        targets = []
        for name, images, given in zip(name_targets(names, len(boxes)), frames, boxes, strict=True):
            frame, box = read_frame(images, self.streams, name), np.array(given, np.float64)
            check_first_box(box, frame.size, name)
            targets.append(Target(name, box, state=self._open(frame, box, name)))
        return targets

    def track(
        self, targets: Sequence[Target], frames: Sequence[Images | Frame], observe: Observer | None = None
    ) -> list[Target]:
        """As `Tracker.track`. The score is OpenCV's; trackers without a score report 1 where found, else 0."""
        moved = []
        for target, images in zip(targets, frames, strict=True):
            found, box = target.state.update(self._picture(read_frame(images, self.streams, target.name)))
            read = getattr(target.state, "getTrackingScore", None)
            score = float(read()) if found and read is not None else float(found)
            box = np.array(box, np.float64) if found else target.box
            moved.append(replace(target, box=box, score=score, found=found, age=target.age + 1))
        return moved

    def correct(self, targets: Sequence[Target], boxes: Sequence[np.ndarray]) -> list[Target]:
        """Raises InputError: OpenCV's trackers cannot continue from another box."""
        if targets:
            raise InputError("OpenCV's trackers cannot go on from another box; refine their results afterwards")
        return []

    def reduction(self, target: Target) -> int:
        """1: these trackers need the full frame."""
        return 1

    def _open(self, frame: Frame, box: np.ndarray, name: str) -> Any:
        tracker = self._make()
        try:
            tracker.init(self._picture(frame), tuple(int(value) for value in np.round(box)))
        except cv2.error as error:
            raise InputError(f"{name}: OpenCV cannot start from {box}: {error.err}") from None
        return tracker

    def _picture(self, frame: Frame) -> np.ndarray:
        """[H, W, 3] uint8 BGR"""
        visible, infrared = frame.images
        if self._stream == "both":
            return np.ascontiguousarray(cv2.addWeighted(visible, 0.5, infrared, 0.5, 0)[..., ::-1])
        return np.ascontiguousarray((visible if self._stream == "visible" else infrared)[..., ::-1])


def build_opencv(cfg: EasyDict) -> OpenCVTracker | StaticBox:
    """The tracker that MODEL.NAME names: static, mil or nano.

    Raises InputError where this build of OpenCV lacks it, and for missing ONNX files of NanoTrack.
    """
    name = cfg.MODEL.NAME
    if name == "static":
        return StaticBox()
    if name == "mil":
        return OpenCVTracker(_find("TrackerMIL"), cfg.TEST.STREAM)
    backbone, head = weight_files(cfg)
    make = _find("TrackerNano")
    parameters = cv2.TrackerNano.Params()
    parameters.backbone, parameters.neckhead = str(backbone), str(head)
    return OpenCVTracker(lambda: make(parameters), cfg.TEST.STREAM)


def weight_files(cfg: EasyDict) -> list[Path]:
    """The weight files of a configuration's tracker. Raises InputError with the key of a missing file."""
    paths = []
    for key in FILES.get(cfg.MODEL.NAME, ()):
        paths.append(Path(cfg.MODEL[key]))
        if not paths[-1].is_file():
            remedy = f"give NanoTrackV2's ONNX file with --set MODEL.{key}=PATH"
            raise InputError(f"MODEL.{key}: file {cfg.MODEL[key]!r} does not exist; {remedy}")
    return paths


def _find(name: str) -> Callable[..., Any]:
    """The function that creates an OpenCV tracker: in the main module since 4.5.1, else in `legacy` (contrib)."""
    for module in (cv2, getattr(cv2, "legacy", None)):
        create = getattr(module, f"{name}_create", None) or getattr(getattr(module, name, None), "create", None)
        if create is not None:
            return create
    raise InputError(f"{name}: OpenCV {cv2.__version__} was built without it; install opencv-python from PyPI")
