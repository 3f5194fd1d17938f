"""Reading folders of images and video files as `Frames`; writing video files, which appear when they are complete."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from ...core.atomic import write_atomically
from ...core.errors import InputError
from ...datasets.layout import list_images
from ...datasets.sequence import VISIBLE, FileFrames, Frames

FRAMES_PER_SECOND = 25.0  # of a folder of images
#: Codecs that every OpenCV wheel has: MPEG-4 part 2, which is fast to encode, and VP8, which browsers play.
CODECS = {".mp4": "mp4v", ".webm": "VP80"}


class VideoFrames(Frames):
    """A video file of one modality. Reading in order decodes every frame once; other orders are slow."""

    modalities = (VISIBLE,)

    def __init__(self, path: str | Path):
        """Count the frames by reading the whole file, since containers often declare too many.

        Raises InputError where the file cannot be read as a video.
        """
        self.path = Path(path)
        self._last: np.ndarray | None = None
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
        if index == self._next - 1 and self._last is not None:  # the slower of two cameras needs a frame twice
            return [self._last]
        if index < self._next:
            self._open()
        while self._next < index and self._capture.grab():
            self._next += 1
        read, image = self._capture.read()
        if not read:
            raise InputError(f"{self.path}: frame {index} cannot be decoded")
        self._next += 1
        self._last = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return [self._last]

    def __getstate__(self) -> dict:
        """The attributes without the open file, which cannot be pickled."""
        return {key: value for key, value in self.__dict__.items() if key not in ("_capture", "_next", "_last")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._open()

    def _open(self) -> None:
        self._capture, self._next = cv2.VideoCapture(os.fspath(self.path)), 0
        self._last = None


def open_source(path: str | Path) -> Frames:
    """The frames of a folder of images or a video file. Raises InputError where it is neither or cannot be read."""
    path = Path(path)
    if path.is_dir():
        return FileFrames((list_images(path),), (VISIBLE,))
    if not path.exists():
        raise InputError(f"{path}: no such folder or video file")
    return VideoFrames(path)


def frame_rate(frames: Frames) -> float:
    """Frames per second of a recording; 25 where that is not known."""
    return frames.frames_per_second if isinstance(frames, VideoFrames) else FRAMES_PER_SECOND


@contextmanager
def write_video(path: Path, frames_per_second: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends an image to a video: [H, W, 3] uint8 RGB, resized to the first one's size.

    path: an .mp4, or a .webm, which is slower to write and plays in browsers. The file appears when the video is
    complete. Raises InputError where OpenCV cannot write it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")  # the suffix decides the container
    code = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
    writer = cv2.VideoWriter()
    sizes: list[tuple[int, int]] = []  # of the pictures as written

    def append(picture: np.ndarray) -> None:
        sizes.append(sizes[0] if sizes else (picture.shape[1], picture.shape[0]))
        if not writer.isOpened() and not writer.open(os.fspath(temporary), code, frames_per_second, sizes[0]):
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
    """Raise InputError for an incomplete video. OpenCV does not report a full disk, but the file then has no index."""
    if int(cv2.VideoCapture(os.fspath(temporary)).get(cv2.CAP_PROP_FRAME_COUNT)) != frames:
        raise InputError(f"{path}: the video could not be written completely; check the free space")


def write_image(path: Path, picture: np.ndarray) -> None:
    """Write [H, W, 3] uint8 RGB in the format of the path's suffix; the file appears when it is complete."""
    written, data = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not written:
        raise InputError(f"{path}: OpenCV cannot encode {path.suffix} images")
    with write_atomically(path) as temporary:
        temporary.write_bytes(data.tobytes())
