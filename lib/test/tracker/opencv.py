"""OpenCV's trackers, to compare with. They look at one picture, take whole pixels, and change in place: a target of
theirs cannot be pickled, and a frame cannot be tracked again."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from easydict import EasyDict

from ...core.errors import InputError
from ...core.frame import Frame, Images
from ...core.target import Target
from .protocol import Observer, check_first_box, name_targets, read_frame
from .replay import StaticBox

#: MODEL.NAME of trackers without weights of this toolbox.
KINDS = ("static", "mil", "nano")
#: Keys of the ONNX files that a kind needs.
FILES = {"nano": ("BACKBONE_FILE", "HEAD_FILE")}


class OpenCVTracker:
    """Any of OpenCV's trackers on one stream, or on the mean of both. A lost target stays where it was last seen."""

    modalities = 2

    def __init__(self, make: Callable[[], Any], stream: str):
        """make: a new object of OpenCV's tracker; stream: visible, infrared or both."""
        self._make, self._stream = make, stream

    def start(
        self, frames: Sequence[Images | Frame], boxes: Sequence[np.ndarray], names: Sequence[str] = ()
    ) -> list[Target]:
        """As `Tracker.start`. Raises InputError too where OpenCV refuses a box."""
        targets = []
        for name, images, given in zip(name_targets(names, len(boxes)), frames, boxes, strict=True):
            frame, box = read_frame(images, self.modalities, name), np.array(given, np.float64)
            check_first_box(box, frame.size, name)
            targets.append(Target(name, box, state=self._open(frame, box, name)))
        return targets

    def track(
        self, targets: Sequence[Target], frames: Sequence[Images | Frame], observe: Observer | None = None
    ) -> list[Target]:
        """As `Tracker.track`; the score is OpenCV's where it has one."""
        moved = []
        for target, images in zip(targets, frames, strict=True):
            found, box = target.state.update(self._picture(read_frame(images, self.modalities, target.name)))
            read = getattr(target.state, "getTrackingScore", None)
            score = float(read()) if found and read is not None else float(found)
            box = np.array(box, np.float64) if found else target.box
            moved.append(replace(target, box=box, score=score, found=found, age=target.age + 1))
        return moved

    def correct(self, targets: Sequence[Target], boxes: Sequence[np.ndarray]) -> list[Target]:
        """Raises InputError: OpenCV's trackers go on from their own box."""
        if targets:
            raise InputError("OpenCV's trackers cannot go on from another box; refine their results afterwards")
        return []

    def reduction(self, target: Target) -> int:
        """Whole frames."""
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

    Raises InputError where this build of OpenCV lacks it, and for ONNX files of NanoTrack that are not there.
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
    """The files that the tracker of a configuration reads. Raises InputError with the key of a missing one."""
    paths = []
    for key in FILES.get(cfg.MODEL.NAME, ()):
        paths.append(Path(cfg.MODEL[key]))
        if not paths[-1].is_file():
            remedy = f"give NanoTrackV2's ONNX file with --set MODEL.{key}=PATH"
            raise InputError(f"MODEL.{key}: file {cfg.MODEL[key]!r} does not exist; {remedy}")
    return paths


def _find(name: str) -> Callable[..., Any]:
    """The factory of an OpenCV tracker: the main module since 4.5.1 and in 5, `legacy` of the contrib package else."""
    for module in (cv2, getattr(cv2, "legacy", None)):
        create = getattr(module, f"{name}_create", None) or getattr(getattr(module, name, None), "create", None)
        if create is not None:
            return create
    raise InputError(f"{name}: OpenCV {cv2.__version__} was built without it; install opencv-python from PyPI")
