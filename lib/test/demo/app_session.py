"""The session of one visitor of the browser app: video, boxes, options, results. It is independent of the browser."""

import functools
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ...core.errors import InputError
from ...core.frame import GREY_COPY, NO_INFRARED
from ...datasets.sequence import Sequence
from ..evaluation.open import open_run
from ..tracker.forward_pass import TORCH, Mode
from ..tracker.protocol import Tracker
from ..video.draw import BLACK, ORANGE
from ..video.homography import ESTIMATE
from ..video.pairing import open_frames, open_sequence, recorded_rate
from .boxes import parse_box
from .bundled import DEMO_SEQUENCE, LOST_BELOW, BundledModel, bundled_models
from .video_run import DemoVideo, VideoOptions, VideoResult, track_video

LEAST_SIDE = 4  # pixels; a smaller box comes from a double click


@dataclass(frozen=True)
class VisitorOptions:
    """What a visitor chooses besides the boxes."""

    model: str  # a name of `bundled_models`
    device: str = "auto"
    heat: bool = False
    lost_below: float = LOST_BELOW
    backend: str = TORCH


@dataclass
class Session:
    """One video and the boxes on it. All files that it writes are in `folder`; `close` removes them."""

    max_frames: int
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="tracking_app_")))
    sequence: Sequence | None = None
    boxes: dict[int, np.ndarray] = field(default_factory=dict)  # frame from 0 -> [4] xywh, pixels
    corner: tuple[int, float, float] | None = None  # frame, x and y of a first click
    runs: int = 0

    def open(self, visible: str | None, infrared: str | None, align: bool) -> list[str]:
        """Open two videos; the infrared one may be missing. Returns lines for the visitor: warnings, number of frames.

        align: whether the homography between the cameras is estimated. Raises InputError for videos that cannot be
        used.
        """
        if visible is None:
            raise InputError("no visible video; drop one, or use the bundled sequence")
        with _collected_warnings() as lines:
            try:
                frames = open_frames(visible, infrared, ESTIMATE if align and infrared else None)
            except InputError as error:
                text = str(error).replace(f"--register {ESTIMATE} or --register FILE", "the box “align the cameras”")
                raise InputError(_short(text, visible, infrared)) from None
        self._replace_sequence(Sequence(Path(visible).stem, frames, np.zeros((0, 4))))
        lines += [NO_INFRARED[GREY_COPY]] if infrared is None else []
        return [_short(line, visible, infrared) for line in lines] + self._limits()

    def open_bundled(self) -> list[str]:
        """Open the bundled sequence, with its first annotated box. Returns lines for the visitor."""
        self._replace_sequence(open_sequence(DEMO_SEQUENCE))
        self.boxes = {0: self._opened().boxes[0]}
        return ["The bundled sequence, with its own first box; draw another if you like."]

    def picture(self, frame: int, modality: int = 0) -> np.ndarray:
        """One frame of one modality, at its own size, with its box or first corner drawn: [H, W, 3] uint8 RGB."""
        images = self._opened().frames[frame]
        image = images[min(modality, len(images) - 1)].copy()
        if frame in self.boxes:
            return _outline(image, self.boxes[frame])
        if self.corner is not None and self.corner[0] == frame:
            _, x, y = self.corner
            return _outline(image, np.array([x - 3, y - 3, 6, 6]))
        return image

    def click(self, frame: int, x: float, y: float) -> str:
        """One corner of a box, in pixels; the second click in a frame completes the box. Returns what to do next."""
        if self.corner is None or self.corner[0] != frame:
            self.corner = frame, x, y
            self.boxes.pop(frame, None)
            return "Now click the opposite corner."
        _, first_x, first_y = self.corner
        self.corner = None
        box = np.array([min(x, first_x), min(y, first_y), abs(x - first_x), abs(y - first_y)], np.float64)
        if min(box[2:]) < LEAST_SIDE:
            return "That box is too small; click two opposite corners of the target."
        self.boxes[frame] = box
        return self.describe_boxes()

    def enter(self, frame: int, text: str) -> str:
        """A box as the text `x,y,w,h`. Returns all boxes as text. Raises InputError for any other text."""
        try:
            self.boxes[frame] = parse_box(text)
        except InputError as error:
            raise InputError(str(error).removeprefix("--box ")) from None
        self.corner = None
        return self.describe_boxes()

    def clear(self) -> None:
        """Forget all boxes."""
        self.boxes, self.corner = {}, None

    def describe_boxes(self) -> str:
        """The boxes so far as text."""
        places = [
            f"frame {frame + 1}: " + ",".join(f"{value:.0f}" for value in box)
            for frame, box in sorted(self.boxes.items())
        ]
        return "Boxes (x,y,w,h): " + "; ".join(places) if places else "Click two opposite corners of the target."

    def track(
        self, options: VisitorOptions, on_frame: Callable[[int, int], object] = lambda done, total: None
    ) -> VideoResult:
        """Track the target from its first box on; later boxes correct it.

        on_frame: is called with the numbers of finished frames and of all frames. Raises InputError where there is no
        video or no box.
        """
        sequence = self._opened()
        if not self.boxes:
            raise InputError("no box; click two opposite corners of the target, or enter x,y,w,h")
        tracker = _build(bundled_models()[options.model], options.device, Mode(backend=options.backend))
        total = self.length
        self.runs += 1
        video_options = VideoOptions(
            {frame: {1: box} for frame, box in self.boxes.items()},
            lost_below=options.lost_below,
            heat=options.heat,
            max_frames=total,
            file_name="tracking.webm",
        )
        video = DemoVideo.from_sequence(sequence, recorded_rate(sequence.frames))
        folder = self.folder / str(self.runs)
        return track_video(tracker, video, folder, video_options, on_frame=lambda index: on_frame(index + 1, total))

    def close(self) -> None:
        """Remove everything that this session wrote."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def length(self) -> int:
        """Number of frames that are tracked. Raises InputError where there is no video."""
        return min(len(self._opened()), self.max_frames)

    def _opened(self) -> Sequence:
        if self.sequence is None:
            raise InputError("no video yet; drop two videos and open them, or use the bundled sequence")
        return self.sequence

    def _replace_sequence(self, sequence: Sequence) -> None:
        self.sequence = sequence
        self.clear()

    def _limits(self) -> list[str]:
        count = len(self._opened())
        if count <= self.max_frames:
            return [f"{count} frames."]
        return [f"{count} frames, of which the first {self.max_frames} are tracked."]


def summary(result: VideoResult) -> str:
    """A result in one line."""
    frames = len(result.seconds)
    lost = sum(row.lost for row in result.rows)
    words = [f"{frames} frames", f"{result.speed:.0f} frames/s tracking"]
    words += [f"lost in {lost} (dashed)"] if lost else []
    words += [f"{name} {100 * value:.1f}" for name, value in result.figures.items()]
    return ", ".join(words)


@functools.lru_cache(maxsize=2)
def _build(model: BundledModel, device: str, mode: Mode) -> Tracker:
    return open_run(model.tracker, model.config, checkpoint=model.checkpoint, device=device).load(mode)


class _LineCollector(logging.Handler):
    """Keeps the messages that are logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """A list that receives the warnings of lib while the context is open."""
    collector, logger = _LineCollector(), logging.getLogger(__name__.partition(".")[0])
    logger.addHandler(collector)
    try:
        yield collector.lines
    finally:
        logger.removeHandler(collector)


def _short(text: str, *paths: str | None) -> str:
    """A message in which uploaded files are named without their folders."""
    for path in filter(None, paths):
        text = text.replace(str(path), Path(path).name)
    return text


def _outline(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Draw a box into an image [H, W, 3], which keeps its size, so that clicks on it are pixels of the video."""
    first, second = (corner.round().astype(int).tolist() for corner in (box[:2], box[:2] + box[2:]))
    thickness = max(1, round(image.shape[0] / 240))
    for colour, width in ((BLACK, thickness + 2), (ORANGE, thickness)):
        cv2.rectangle(image, first, second, colour, width, cv2.LINE_AA)
    return image
