"""The session of one visitor of the browser app: video, boxes, options, results. It is independent of the browser."""

import functools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...core.frame import Images
from ...core.words import counted
from ...datasets.sequence import Sequence
from ..evaluation.open import open_run
from ..tracker.forward_pass import TORCH, Mode
from ..tracker.protocol import Tracker
from ..video.homography import ESTIMATE
from ..video.pairing import open_frames, open_sequence, recorded_rate
from .app_boxes import MOST_TARGETS, DrawnBoxes
from .app_messages import collected_messages, shorten
from .bundled import DEMO_SEQUENCE, LOST_BELOW, BundledModel, bundled_models
from .video_run import DemoVideo, VideoOptions, VideoResult, track_video

VISIBLE_ALONE = "no infrared video: the target is followed in the visible one alone"
FOLDER_PREFIX = "tracking_app_"
KEPT_RUNS = 2  # results of earlier runs are removed


class VisitorLeft(Exception):
    """The visitor left, or opened another video, while one was tracked."""


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
    sequence: Sequence | None = None
    drawn: DrawnBoxes = field(default_factory=DrawnBoxes)
    runs: int = 0
    running: bool = False
    closed: bool = False

    @functools.cached_property
    def folder(self) -> Path:
        """Where files are written; it is made at its first use."""
        return Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))

    def open(self, visible: str | None, infrared: str | None, align: bool) -> list[str]:
        """Open two videos; the infrared one may be missing. Returns lines for the visitor: warnings, number of frames.

        align: whether the homography between the cameras is estimated. Raises InputError for videos that cannot be
        used.
        """
        if visible is None:
            raise InputError("no visible video; drop one, or use the bundled sequence")
        with collected_messages() as lines:
            try:
                frames = open_frames(visible, infrared, ESTIMATE if align and infrared else None)
            except InputError as error:
                text = str(error).replace(f"--register {ESTIMATE} or --register FILE", "the box “align the cameras”")
                raise InputError(shorten(text, visible, infrared)) from None
        self._replace_sequence(Sequence(Path(visible).stem, frames, np.zeros((0, 4))))
        lines += [VISIBLE_ALONE] if infrared is None else []
        return [shorten(line, visible, infrared) for line in lines] + self._limits()

    def open_bundled(self) -> list[str]:
        """Open the bundled sequence, with its first annotated box. Returns lines for the visitor."""
        self._replace_sequence(open_sequence(DEMO_SEQUENCE))
        self.drawn.boxes = {0: {1: self._opened().boxes[0]}}
        return ["The bundled sequence, with its own first box; draw another if you like."]

    def picture(self, frame: int, modality: int = 0) -> np.ndarray:
        """One frame of one modality, at its own size, with its boxes or first corner drawn: [H, W, 3] uint8 RGB.

        Raises InputError for a frame that the video does not have, as `point` and `enter` do.
        """
        images = self._images(frame)
        return self.drawn.draw(images[min(modality, len(images) - 1)].copy(), frame)

    def point(self, frame: int, first: tuple[float, float], second: tuple[float, float], target: int = 1) -> str:
        """The mouse was pressed and released at these places, x and y as parts of the frame's width and height.

        Two clicks at opposite corners make a box, and so does dragging. Returns what to do next.
        """
        height, width = self._images(frame)[0].shape[:2]
        places = np.clip(np.array([first, second], np.float64), 0, 1) * (width, height)
        return self.drawn.point(frame, _check_target(target), *places)

    def enter(self, frame: int, text: str, target: int = 1) -> str:
        """A box as the text `x,y,w,h`. Returns all boxes as text. Raises InputError for a box of no use."""
        height, width = self._images(frame)[0].shape[:2]
        return self.drawn.enter(frame, _check_target(target), text, (height, width))

    def forget(self) -> None:
        """Forget the video, its boxes and all results."""
        self.sequence = None
        self.drawn.clear()
        self._remove_runs(self.runs - self.running)

    @property
    def ready(self) -> bool:
        """Whether there is something to track."""
        return self.sequence is not None and bool(self.drawn.boxes)

    def track(
        self, options: VisitorOptions, on_frame: Callable[[int, int], object] = lambda done, total: None
    ) -> VideoResult:
        """Track each target from its first box on; later boxes correct it.

        on_frame: is called with the numbers of finished frames and of all frames. Raises InputError where there is no
        video or no box, and VisitorLeft when the session is closed, or its video replaced, meanwhile.
        """
        sequence = self._opened()
        if not self.ready:
            raise InputError("no box; click two opposite corners of the target, or enter x,y,w,h")
        self.runs += 1
        self._remove_runs(self.runs - KEPT_RUNS)
        folder, total = self.folder / str(self.runs), self.length
        video_options = VideoOptions(
            {frame: dict(sorted(boxes.items())) for frame, boxes in self.drawn.boxes.items()},
            lost_below=options.lost_below,
            heat=options.heat,
            max_frames=total,
            file_name="tracking.webm",
        )
        video = DemoVideo.from_sequence(sequence, recorded_rate(sequence.frames))

        def go_on(index: int) -> None:
            if self.closed or self.sequence is not sequence:
                raise VisitorLeft
            on_frame(index + 1, total)

        self.running = True
        try:
            tracker = _build(bundled_models()[options.model], options.device, Mode(backend=options.backend))
            return track_video(tracker, video, folder, video_options, on_frame=go_on)
        except InputError as error:
            raise InputError(shorten(str(error))) from None
        except VisitorLeft:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            self.running = False
            if self.closed:
                self._remove_folder()

    def close(self) -> None:
        """Remove everything that this session wrote; a run ends at its next frame."""
        self.closed = True
        if not self.running:
            self._remove_folder()

    @property
    def length(self) -> int:
        """Number of frames that are tracked. Raises InputError where there is no video."""
        return min(len(self._opened()), self.max_frames)

    def _images(self, frame: int) -> Images:
        if not 0 <= frame < self.length:
            raise InputError(f"frame {frame + 1}: the video has {counted(self.length, 'frame')}")
        return self._opened().frames[frame]

    def _opened(self) -> Sequence:
        if self.sequence is None:
            raise InputError("no video yet; drop two videos, or use the bundled sequence")
        return self.sequence

    def _replace_sequence(self, sequence: Sequence) -> None:
        self.forget()
        self.sequence = sequence

    def _remove_runs(self, last: int) -> None:
        for run in range(1, last + 1):
            shutil.rmtree(self.folder / str(run), ignore_errors=True)

    def _remove_folder(self) -> None:
        if "folder" in self.__dict__:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _limits(self) -> list[str]:
        count = len(self._opened())
        if count <= self.max_frames:
            return [f"{counted(count, 'frame')}."]
        return [f"{count} frames, of which the first {self.max_frames} are tracked."]


def summary(result: VideoResult) -> str:
    """A result in one line."""
    frames = len(result.seconds)
    lost = sum(row.lost for row in result.rows)
    words = [counted(frames, "frame"), f"{result.speed:.0f} frames/s tracking"]
    words += [f"lost in {lost} (dashed)"] if lost else []
    words += [f"{name} {100 * value:.1f}" for name, value in result.figures.items()]
    return ", ".join(words)


@functools.lru_cache(maxsize=2)
def _build(model: BundledModel, device: str, mode: Mode) -> Tracker:
    return open_run(model.tracker, model.config, checkpoint=model.checkpoint, device=device).load(mode)


def _check_target(target: int) -> int:
    if not 1 <= target <= MOST_TARGETS:
        raise InputError(f"target {target}: expected 1 to {MOST_TARGETS}")
    return target
