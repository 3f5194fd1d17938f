"""Reading folders of images and video files as `Frames`; writing video files, which appear when they are complete."""

import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path

import cv2
import numpy as np

from ...core.atomic import write_atomically
from ...core.errors import InputError
from ...datasets.depth import scale, stream_range
from ...datasets.layout import list_images
from ...datasets.sequence import VISIBLE, FileFrames, Frames
from ...datasets.times import Clock, even_clock, file_clock, stamp_clock

log = logging.getLogger(__name__)

#: Codecs that every OpenCV wheel has: MPEG-4 part 2, which is fast to encode, and VP8, which browsers play.
CODECS = {".mp4": "mp4v", ".webm": "VP80"}
GREY_16 = 0x10003159  # FFmpeg's code of 16-bit grey pixels, which OpenCV would cut to 8 bit
MOST_LOST = 1000  # damaged frames in a row, after which a video counts as ended
LEAST_TRIES = 8  # at the declared end, which may be wrong
MOST_PAGES = 1 << 31  # bytes of a GIF that is kept in memory


class VideoFrames(Frames):
    """A video file of one modality. Reading in order decodes every frame once; other orders are slow.

    A frame that cannot be decoded keeps its place and shows the picture before it (at the start the one after it).
    """

    modalities = (VISIBLE,)

    def __init__(self, path: str | Path):
        """Read the whole file once, since containers often declare too many frames, and since a damaged frame does not
        end a video.

        Raises InputError where the file cannot be read as a video.
        """
        self.path = Path(path)
        self._last: np.ndarray | None = None
        self._open()
        header, declared = self._capture.get(cv2.CAP_PROP_FPS), int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        times, self._shown = _scan(self._capture, declared)
        if not len(times):
            raise InputError(f"{self.path}: cannot be read as a video; convert it to mp4 or to a folder of images")
        self.missing = max(0, declared - len(times))  # frames that the file declares, behind the last one that it has
        lost = np.flatnonzero(self._shown != np.arange(len(times)))
        if lost.size:
            message = "%s: %d of %d frames are damaged, the first is frame %d; the picture before stands in their place"
            log.warning(message, self.path, lost.size, len(times), lost[0] + 1)
        self.clock = file_clock(times, header, self.path)
        self._open()

    def __len__(self) -> int:
        return len(self._shown)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        if self._shown[index] != self._next - 1 or self._last is None:  # the slower of two cameras needs a frame twice
            image = self.read_stored(index)
            if image.dtype == np.uint8:
                self._last = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            else:
                span = stream_range(str(self.path), self.path, len(self), copy(self).read_stored)
                self._last = cv2.cvtColor(scale(image, span), cv2.COLOR_GRAY2RGB)
        return [self._last]

    def read_stored(self, index: int) -> np.ndarray:
        """A frame as it is decoded: [H, W, 3] uint8 BGR, or [H, W] uint16."""
        place = int(self._shown[index])
        if place < self._next:
            self._open()
        while self._next < place:
            self._capture.grab()
            self._next += 1
        read, image = self._capture.read()
        if not read:
            raise InputError(f"{self.path}: frame {index + 1} cannot be decoded")
        self._next += 1
        return image

    def __getstate__(self) -> dict:
        """The attributes without the open file, which cannot be pickled."""
        return {key: value for key, value in self.__dict__.items() if key not in ("_capture", "_next", "_last")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._open()

    def _open(self) -> None:
        self._capture, self._next = cv2.VideoCapture(os.fspath(self.path)), 0
        if int(self._capture.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT)) == GREY_16:
            self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        self._last = None


def _scan(capture: cv2.VideoCapture, declared: int) -> tuple[np.ndarray, np.ndarray]:
    """The times of all frames, [N] seconds, and [N] which frame's picture each of them shows."""
    times: list[float] = []
    failed = 0
    while failed <= min(MOST_LOST, max(LEAST_TRIES, declared - len(times))):
        if capture.grab():
            times += [np.nan] * failed + [capture.get(cv2.CAP_PROP_POS_MSEC) / 1000]
            failed = 0
        else:
            failed += 1
    found, places = np.array(times), np.arange(len(times))
    whole = np.flatnonzero(np.isfinite(found))
    if not whole.size:
        return found, places
    shown = whole[(np.searchsorted(whole, places, side="right") - 1).clip(0)]
    seconds = np.interp(places, whole, found[whole])
    if len(whole) > 1:  # lost frames at the start have times before the first one that is there
        step = np.median(np.diff(found[whole]) / np.diff(whole))
        seconds[: whole[0]] -= step * np.arange(whole[0], 0, -1)
    return seconds, shown


class PageFrames(Frames):
    """The pictures of a GIF whose frames have no delays, which OpenCV's video reader ends after the first."""

    modalities = (VISIBLE,)

    def __init__(self, path: Path):
        """Raises InputError where the file cannot be read, or is larger than MOST_PAGES when it is unpacked."""
        self.path = path
        capture = cv2.VideoCapture(os.fspath(path))
        sizes = (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        pages: Sequence[np.ndarray] = ()
        if 3 * math.prod(capture.get(size) for size in sizes) <= MOST_PAGES:
            with suppress(cv2.error):
                pages = cv2.imreadmulti(os.fspath(path))[1]
        if not len(pages):
            raise InputError(f"{path}: the frames of this GIF have no delays; convert it to mp4")
        self.pages = [cv2.cvtColor(page, cv2.COLOR_BGR2RGB) for page in pages]

    def __len__(self) -> int:
        return len(self.pages)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return [self.pages[index]]


def open_source(path: str | Path) -> Frames:
    """The frames of a folder of images or a video file. Raises InputError where it is neither or cannot be read."""
    path = Path(path)
    if path.is_dir():
        return FileFrames((list_images(path),), (VISIBLE,))
    if not path.exists():
        raise InputError(f"{path}: no such folder or video file")
    video = VideoFrames(path)
    if not video.missing:
        return video
    if path.suffix.lower() == ".gif":
        return PageFrames(path)
    log.warning("%s: declares %d frames, %d can be read", path, len(video) + video.missing, len(video))
    return video


def read_clock(frames: Frames, fps: float | None = None) -> Clock:
    """When the frames of a recording were taken. fps: frames per second where neither its file nor the names of its
    images tell it; 25 without it."""
    clock = frames.clock if isinstance(frames, VideoFrames) else None
    if isinstance(frames, FileFrames):
        clock = stamp_clock([path.name for path in frames.paths[0]])
    return clock or even_clock(len(frames), fps)


def frame_rate(frames: Frames) -> float:
    """Usual frames per second of a recording; 25 where that is not known."""
    return read_clock(frames).rate


@contextmanager
def write_video(path: Path, frames_per_second: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends an image to a video: [H, W, 3] uint8 RGB, resized to the first one's size.

    path: an .mp4, or a .webm, which is slower to write and plays in browsers. The file appears when the video is
    complete. Raises InputError where OpenCV cannot write it.
    """
    code = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
    writer = cv2.VideoWriter()
    sizes: list[tuple[int, int]] = []  # of the pictures as written

    def append(picture: np.ndarray) -> None:
        sizes.append(sizes[0] if sizes else (picture.shape[1], picture.shape[0]))
        if not writer.isOpened() and not writer.open(os.fspath(temporary), code, frames_per_second, sizes[0]):
            raise InputError(f"{path}: OpenCV cannot write a video here; check that the folder can be written to")
        writer.write(cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), sizes[0]))

    with write_atomically(path, path.suffix) as temporary:  # the suffix decides the container
        try:
            yield append
        finally:
            writer.release()
        _check_whole(temporary, path, len(sizes))


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
