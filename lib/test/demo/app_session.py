"""What one visitor of the browser app has brought and chosen, and what comes of it. Knows nothing of the browser."""

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
from ...datasets.sequence import Sequence
from ..evaluation.open import open_run
from ..tracker.protocol import Tracker
from ..video.draw import BLACK, ORANGE
from ..video.pairing import open_frames, open_sequence, recorded_rate
from ..video.register import ESTIMATE
from .boxes import parse_box
from .film import Film, Footage, Script, make_film
from .shipped import DEMO_SEQUENCE, LOST_BELOW, Model, shipped_models

LEAST_SIDE = 4  # pixels of a box, below which two clicks were one


@dataclass(frozen=True)
class Wishes:
    """What a visitor chose beside the boxes."""

    model: str  # of `shipped_models`
    device: str = "auto"
    heat: bool = False
    lost_below: float = LOST_BELOW


@dataclass
class Session:
    """One video and the boxes on it; everything that it writes lies in `folder` and goes with `close`."""

    most_frames: int
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="tracking_app_")))
    sequence: Sequence | None = None
    boxes: dict[int, np.ndarray] = field(default_factory=dict)  # frame from 0 -> [4] xywh, pixels
    corner: tuple[int, float, float] | None = None  # frame, x and y of a first click
    runs: int = 0

    def open(self, visible: str | None, infrared: str | None, align: bool) -> list[str]:
        """Take two videos (the infrared one may be missing); what there is to say about them, a line each.

        align: the homography between the cameras is estimated. Raises InputError for what cannot be used.
        """
        if visible is None:
            raise InputError("no visible video; drop one, or take the bundled sequence")
        with _heard() as lines:
            try:
                frames = open_frames(visible, infrared, ESTIMATE if align and infrared else None)
            except InputError as error:
                text = str(error).replace(f"--register {ESTIMATE} or --register FILE", "the box “align the cameras”")
                raise InputError(_short(text, visible, infrared)) from None
        self._take(Sequence(Path(visible).stem, frames, np.zeros((0, 4))))
        return [_short(line, visible, infrared) for line in lines] + self._limits()

    def open_bundled(self) -> list[str]:
        """Take the sequence that comes with the toolbox, and its first box."""
        self._take(open_sequence(DEMO_SEQUENCE))
        self.boxes = {0: self._opened().boxes[0]}
        return ["The bundled sequence, with its own first box; draw another if you like."]

    def picture(self, frame: int, modality: int = 0) -> np.ndarray:
        """One frame of one modality with its box or first corner drawn in: [H, W, 3] uint8 RGB, the video's pixels."""
        images = self._opened().frames[frame]
        image = images[min(modality, len(images) - 1)].copy()
        if frame in self.boxes:
            return _outline(image, self.boxes[frame])
        if self.corner is not None and self.corner[0] == frame:
            _, x, y = self.corner
            return _outline(image, np.array([x - 3, y - 3, 6, 6]))
        return image

    def click(self, frame: int, x: float, y: float) -> str:
        """One corner of a box, in pixels; the second click in a frame makes the box. What to do next."""
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
        return self.told()

    def enter(self, frame: int, text: str) -> str:
        """A box as `x,y,w,h`. Raises InputError for anything else."""
        try:
            self.boxes[frame] = parse_box(text)
        except InputError as error:
            raise InputError(str(error).removeprefix("--box ")) from None
        self.corner = None
        return self.told()

    def clear(self) -> None:
        """Forget all boxes."""
        self.boxes, self.corner = {}, None

    def told(self) -> str:
        """The boxes so far, in words."""
        places = [
            f"frame {frame + 1}: " + ",".join(f"{value:.0f}" for value in box)
            for frame, box in sorted(self.boxes.items())
        ]
        return "Boxes (x,y,w,h): " + "; ".join(places) if places else "Click two opposite corners of the target."

    def track(self, wishes: Wishes, on_frame: Callable[[int, int], object] = lambda done, total: None) -> Film:
        """Follow the target from its first box on; later boxes correct it. on_frame hears of done and all frames.

        Raises InputError when there is nothing to follow.
        """
        sequence = self._opened()
        if not self.boxes:
            raise InputError("no box; click two opposite corners of the target, or enter x,y,w,h")
        tracker = _build(shipped_models()[wishes.model], wishes.device)
        total = self.length
        self.runs += 1
        script = Script(
            {frame: {1: box} for frame, box in self.boxes.items()},
            lost_below=wishes.lost_below,
            heat=wishes.heat,
            most_frames=total,
            video="tracking.webm",
        )
        footage = Footage.recorded(sequence, recorded_rate(sequence.frames))
        folder = self.folder / str(self.runs)
        return make_film(tracker, footage, folder, script, on_frame=lambda index: on_frame(index + 1, total))

    def close(self) -> None:
        """Remove everything that this session wrote."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def length(self) -> int:
        """Frames that are followed. Raises InputError when there is no video."""
        return min(len(self._opened()), self.most_frames)

    def _opened(self) -> Sequence:
        if self.sequence is None:
            raise InputError("no video yet; drop two videos and open them, or take the bundled sequence")
        return self.sequence

    def _take(self, sequence: Sequence) -> None:
        self.sequence = sequence
        self.clear()

    def _limits(self) -> list[str]:
        count = len(self._opened())
        if count <= self.most_frames:
            return [f"{count} frames."]
        return [f"{count} frames, of which the first {self.most_frames} are followed."]


def summary(film: Film) -> str:
    """A film in a few words."""
    frames = len(film.seconds)
    lost = sum(row.lost for row in film.rows)
    words = [f"{frames} frames", f"{frames / film.seconds.sum():.0f} frames/s tracking"]
    words += [f"lost in {lost} (dashed)"] if lost else []
    words += [f"{name} {100 * value:.1f}" for name, value in film.figures.items()]
    return ", ".join(words)


@functools.lru_cache(maxsize=2)
def _build(model: Model, device: str) -> Tracker:
    return open_run(model.tracker, model.config, checkpoint=model.checkpoint, device=device).load()


@contextmanager
def _heard() -> Iterator[list[str]]:
    """The warnings of the toolbox while this lasts."""
    lines: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    ear, source = Ear(), logging.getLogger(__name__.rpartition(".demo")[0])
    source.addHandler(ear)
    try:
        yield lines
    finally:
        source.removeHandler(ear)


def _short(text: str, *paths: str | None) -> str:
    """A message about uploaded files with their names alone."""
    for path in filter(None, paths):
        text = text.replace(str(path), Path(path).name)
    return text


def _outline(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The image with a box, at its own size, so that clicks on it are pixels of the video."""
    first, second = (corner.round().astype(int).tolist() for corner in (box[:2], box[:2] + box[2:]))
    thickness = max(1, round(image.shape[0] / 240))
    for colour, width in ((BLACK, thickness + 2), (ORANGE, thickness)):
        cv2.rectangle(image, first, second, colour, width, cv2.LINE_AA)
    return image
