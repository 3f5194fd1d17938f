"""Folders of images and videos as frames of one or two cameras.

M modalities (1: visible; 2: visible and infrared).
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from .errors import InputError
from .images import join, measure_range, read_image
from .numbering import list_images, pair
from .orientation import orientation_of
from .times import FOLDER_RATE, is_sane, match_times, own_clocks, rate_of, read_stamps

SAME_ASPECT = 0.02  # relative difference up to which two aspect ratios agree
SAME_HEADER = 0.02  # relative difference up to which a file's rate is that of its frames
MOST_LOST, LEAST_TRIES = 1000, 8  # damaged frames in a row after which a video has ended; tries at its stated end
GREY_16 = 0x10003159  # FFmpeg's code of 16-bit grey pixels, which OpenCV would cut to 8 bit


class Images:
    """The images of a folder as a recording."""

    def __init__(self, paths: Sequence[Path]):
        self.paths, self.span = paths, measure_range(paths)
        orientation = orientation_of(paths[0])
        if orientation != 1:
            print(
                f"{paths[0].parent}: the orientation tag (EXIF {orientation}) of its images is obeyed, so boxes are in "
                "pixels of the turned pictures"
            )

    def clock(self) -> tuple[np.ndarray, float]:
        """The time of each frame in seconds from the first one, and frames per second: as the names of the images tell,
        else the rate that is taken for folders."""
        stamps = read_stamps(self.paths)
        if stamps is None:
            return np.arange(len(self.paths)) / FOLDER_RATE, FOLDER_RATE
        return stamps - stamps[0], rate_of(stamps)

    def read(self, index: int) -> np.ndarray | None:
        """[H, W, 3] uint8 BGR; None behind the last one."""
        if index >= len(self.paths):
            return None
        image = read_image(self.paths[index], self.span)
        if image is None:
            where = self.paths[index]
            raise InputError(f"{where}: image cannot be decoded; it is damaged, or larger than 134 million pixels")
        return image


class Video:
    """A video file, read in order. A frame that cannot be decoded keeps its place and shows the picture before it (at
    the start the one after it)."""

    def __init__(self, path: Path):
        """Reads the whole file once."""
        self.path, self.place = path, -1
        self.capture, scan = cv2.VideoCapture(str(path)), cv2.VideoCapture(str(path))
        self.header, declared = scan.get(cv2.CAP_PROP_FPS), int(scan.get(cv2.CAP_PROP_FRAME_COUNT))
        times, failed = list[float](), 0
        while failed <= min(MOST_LOST, max(LEAST_TRIES, declared - len(times))):
            if scan.grab():
                times += [np.nan] * failed + [scan.get(cv2.CAP_PROP_POS_MSEC) / 1000]
                failed = 0
            else:
                failed += 1
        if not times:
            raise InputError(f"{path}: cannot be read as a video; convert it to mp4 or to a folder of images")
        if int(scan.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT)) == GREY_16:
            raise InputError(f"{path}: a video of 16-bit values; convert it to a folder of 16-bit images")
        whole, places = np.flatnonzero(np.isfinite(times)), np.arange(len(times))
        self.shown = whole[(np.searchsorted(whole, places, side="right") - 1).clip(0)]
        known = np.array(times)[whole]
        self.times = np.interp(places, whole, known)
        if len(whole) > 1:  # lost frames at the start have times before the first one that is there
            self.times[: whole[0]] -= np.median(np.diff(known) / np.diff(whole)) * np.arange(whole[0], 0, -1)
        lost = len(times) - len(whole)
        if lost:
            print(f"{path}: {lost} of {len(times)} frames are damaged; the picture before stands in their place")
        if declared > len(times):
            if path.suffix.lower() == ".gif":
                raise InputError(f"{path}: the frames of this GIF have no delays; convert it to mp4")
            print(f"{path}: declares {declared} frames, {len(times)} can be read")

    def clock(self) -> tuple[np.ndarray, float]:
        """As `Images.clock`, by the times of the frames; by the file's rate where they do not ascend."""
        steps = np.diff(self.times)
        usual = rate_of(self.times) if len(steps) and (steps >= 0).all() else 0.0
        if not is_sane(usual):
            rate = self.header if is_sane(self.header) else FOLDER_RATE
            return np.arange(len(self.times)) / rate, rate
        mean = len(steps) / (self.times[-1] - self.times[0])
        stated = self.header > 0 and min(abs(rate / self.header - 1) for rate in (usual, mean)) <= SAME_HEADER
        return self.times - self.times[0], self.header if stated else usual

    def read(self, index: int) -> np.ndarray | None:
        """As `Images.read`; `index` is not less than the one before."""
        if index >= len(self.shown):
            return None
        while self.place < self.shown[index]:
            found, self.image = self.capture.read()
            self.place += 1
            if self.place == self.shown[index] and not found:
                raise InputError(f"{self.path}: frame {index + 1} cannot be decoded")
        return self.image


def open_sources(sources: Sequence[Path]) -> tuple[list[Images | Video], Iterable[tuple[int, ...]]]:
    """Folders of images or videos, and the places in them of what belongs together: two folders are paired by number,
    videos and folders that are named by times of their own by time."""
    for source in sources:
        if not source.exists():
            raise InputError(f"{source}: no such folder or video file")
    if len(sources) > 1 and all(source.is_dir() for source in sources):
        folders: Sequence[list[Path]] = [list_images(source) for source in sources]
        clocks = own_clocks(folders)
        if clocks is not None:
            return [Images(paths) for paths in folders], match_times(clocks, stamped=True)
        folders = pair(folders)
        return [Images(paths) for paths in folders], ((k, k) for k in range(len(folders[0])))
    recordings = [Images(list_images(source)) if source.is_dir() else Video(source) for source in sources]
    if len(recordings) == 1:
        return recordings, ((k,) for k in itertools.count())
    return recordings, match_times([recording.clock() for recording in recordings])


def read_frames(
    sources: Sequence[Path], modalities: int | None = None, *, stream: str = "visible", missing: str = "grey copy"
) -> Iterator[np.ndarray]:
    """Frames [H, W, 3 M] uint8 RGB of one recording per modality, paired by number or, with a video, by time.

    modalities: of the network, which reads `stream` where it is one; a second recording that is not read is left.
    missing: what stands in for a missing infrared image, a grey copy or black."""
    modalities = modalities or len(sources)
    if len(sources) > modalities:
        sources = sources[::-1] if stream == "infrared" else sources
        print(f"this network reads one camera; {sources[1]} is left")
    if len(sources) < modalities:
        stands_in = "black" if missing == "black" else "a grey copy of the visible one"
        print(f"there is no infrared stream; {stands_in} stands in for it")
    recordings, order = open_sources(sources[:modalities])
    for number, places in enumerate(order):
        images = [recording.read(place) for recording, place in zip(recordings, places, strict=True)]
        found = [image for image in images if image is not None]
        if len(found) < len(images):
            return
        if len(found) < modalities:
            grey = cv2.cvtColor(cv2.cvtColor(found[0], cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            found.append(np.zeros_like(grey) if missing == "black" else grey)
        yield join(match_sizes(found, number == 0))


def match_sizes(images: list[np.ndarray], say: bool) -> list[np.ndarray]:
    """The images with the infrared one scaled to the visible one's size."""
    sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in images]
    if len(set(sizes)) == 1:
        return images
    shapes = [image.shape[1] / image.shape[0] for image in images]
    if abs(shapes[1] / shapes[0] - 1) > SAME_ASPECT:
        if abs(shapes[1] * shapes[0] - 1) <= SAME_ASPECT:
            raise InputError(
                f"visible is {sizes[0]}, infrared {sizes[1]}: one of them is turned, perhaps by a wrong orientation "
                "tag (EXIF) in its files; correct the tag or the pictures"
            )
        raise InputError(
            f"visible is {sizes[0]}, infrared {sizes[1]}: different aspect ratios, so the cameras see different parts "
            "of the scene; align them first, with tracking/video_demo.py --register of the toolbox"
        )
    if say:
        print(f"visible is {sizes[0]}, infrared {sizes[1]}: infrared is scaled to the visible size")
    visible, infrared = images
    across, down = (visible.shape[side] / infrared.shape[side] for side in (1, 0))
    matrix = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
    return [visible, cv2.warpPerspective(infrared, matrix, (visible.shape[1], visible.shape[0]))]
