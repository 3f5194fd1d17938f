"""Video in and out: folders of images, video files and sequences as `Frames`; mp4 files that exist only when whole."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lib.core.atomic import write_atomically
from lib.core.errors import InputError
from lib.datasets.folder import PAIRED, read_folder
from lib.datasets.layout import first_existing, list_images
from lib.datasets.sequence import INFRARED, VISIBLE, FileFrames, Frames, Sequence

log = logging.getLogger(__name__)

FRAMES_PER_SECOND = 25.0  # of a folder of images, which does not say
CODEC = "mp4v"  # MPEG-4 part 2: the one mp4 codec that every OpenCV wheel brings along and that encodes at full speed


class VideoFrames(Frames):
    """A video file of one modality. Read in order it decodes every frame once; other orders are slow."""

    modalities = (VISIBLE,)

    def __init__(self, path: str | Path):
        """Counts the frames by reading through the file, since containers often declare too many.

        Raises InputError when the file cannot be read as a video.
        """
        self.path = Path(path)
        self._open()
        self.frames_per_second = self._capture.get(cv2.CAP_PROP_FPS) or FRAMES_PER_SECOND
        self._length = 0
        while self._capture.grab():
            self._length += 1
        if not self._length:
            raise InputError(f"{self.path}: cannot be read as a video; convert it to mp4 or to a folder of images")
        self._open()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> list[np.ndarray]:
        if index < self._next:
            self._open()
        while self._next < index and self._capture.grab():
            self._next += 1
        read, image = self._capture.read()
        if not read:
            raise InputError(f"{self.path}: frame {index} cannot be decoded")
        self._next += 1
        return [cv2.cvtColor(image, cv2.COLOR_BGR2RGB)]

    def __getstate__(self) -> dict:
        """An open file cannot be pickled; its path can."""
        return {key: value for key, value in self.__dict__.items() if key not in ("_capture", "_next")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._open()

    def _open(self) -> None:
        self._capture, self._next = cv2.VideoCapture(os.fspath(self.path)), 0


@dataclass(frozen=True)
class PairedFrames(Frames):
    """Two one-modality sources side by side, frame k with frame k."""

    visible: Frames
    infrared: Frames
    modalities: tuple[str, ...] = (VISIBLE, INFRARED)

    def __len__(self) -> int:
        return min(len(self.visible), len(self.infrared))

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return self.visible[index] + self.infrared[index]


def open_frames(visible: str | Path, infrared: str | Path | None = None) -> Frames:
    """Frames of a folder of images or a video file, or of two of them side by side (the shorter one counts).

    Raises InputError for what does not exist, cannot be read, or whose first frames differ in size.
    """
    first = _open_one(Path(visible))
    if infrared is None:
        return first
    frames = PairedFrames(first, _open_one(Path(infrared)))
    if len(frames.visible) != len(frames.infrared):
        counts = f"{visible} has {len(frames.visible)} frames, {infrared} {len(frames.infrared)}"
        log.warning("%s; only the first %d are used", counts, len(frames))
    sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in frames[0]]
    if sizes[0] != sizes[1]:
        raise InputError(f"{visible} is {sizes[0]}, {infrared} is {sizes[1]}; register the two videos to one size")
    return frames


def open_sequence(folder: str | Path) -> Sequence:
    """One sequence folder of any known layout; without an annotation its `boxes` has no rows.

    Raises InputError when the folder holds no sequence, or more than one.
    """
    path = Path(folder)
    if (path / VISIBLE).is_dir() and first_existing(path, PAIRED) is None:
        infrared = path / INFRARED
        frames = open_frames(path / VISIBLE, infrared if infrared.is_dir() else None)
        return Sequence(path.resolve().name, frames, np.zeros((0, 4)))
    found = read_folder(path)
    if len(found) > 1:
        raise InputError(f"{path}: holds {len(found)} sequences; name one of them, for example {path / found[0].name}")
    return found[0]


def frame_rate(frames: Frames) -> float:
    """Frames per second that a source was recorded with; 25 where it does not say."""
    if isinstance(frames, PairedFrames):
        return frame_rate(frames.visible)
    return frames.frames_per_second if isinstance(frames, VideoFrames) else FRAMES_PER_SECOND


@contextmanager
def write_video(path: Path, frames_per_second: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends a picture to the mp4 file `path`: [H, W, 3] uint8 RGB, brought to the first's size.

    The file gets its name when the video is whole. Raises InputError when OpenCV cannot write it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.mp4")  # OpenCV knows the container by its ending
    writer = cv2.VideoWriter()
    sizes: list[tuple[int, int]] = []  # of the pictures as written

    def append(picture: np.ndarray) -> None:
        sizes.append(sizes[0] if sizes else (picture.shape[1], picture.shape[0]))
        if not writer.isOpened() and not writer.open(os.fspath(temporary), _code(), frames_per_second, sizes[0]):
            raise InputError(f"{path}: OpenCV cannot write a video here; check that the folder can be written to")
        writer.write(cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), sizes[0]))

    try:
        yield append
        writer.release()
        if sizes:
            _check_whole(temporary, path, len(sizes))
            os.replace(temporary, path)
    finally:
        writer.release()
        temporary.unlink(missing_ok=True)


def _check_whole(temporary: Path, path: Path, frames: int) -> None:
    """OpenCV's writer says nothing when the disk is full; the file then lacks its index."""
    if int(cv2.VideoCapture(os.fspath(temporary)).get(cv2.CAP_PROP_FRAME_COUNT)) != frames:
        raise InputError(f"{path}: the video could not be written to its end; check the free space")


def write_image(path: Path, picture: np.ndarray) -> None:
    """Write [H, W, 3] uint8 RGB in the format of the path's ending; the file appears when it is whole."""
    written, data = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not written:
        raise InputError(f"{path}: OpenCV cannot encode {path.suffix} images")
    with write_atomically(path) as temporary:
        temporary.write_bytes(data.tobytes())


def _open_one(path: Path) -> Frames:
    if path.is_dir():
        return FileFrames((list_images(path),), (VISIBLE,))
    if not path.exists():
        raise InputError(f"{path}: no such folder or video file")
    return VideoFrames(path)


def _code() -> int:
    return cv2.VideoWriter.fourcc(*CODEC)
