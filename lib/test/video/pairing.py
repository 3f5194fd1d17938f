"""Two recordings, or one side-by-side recording, as one visible + infrared video.

The recordings may differ in length, frame rate and resolution. Frames are paired by time, and the infrared image is
scaled to the size of the visible one or warped to it by a homography. Each difference is logged in one line.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...datasets.layout import first_existing, pick
from ...datasets.matching import match_frames
from ...datasets.readers.folder import PAIRED, read_folder
from ...datasets.sequence import INFRARED, VISIBLE, FileFrames, Frames, Sequence
from .homography import ESTIMATE, estimate_homography, read_homography, scaling, warp
from .video import frame_rate, open_source

log = logging.getLogger(__name__)

SAME_RATE = 0.01  # relative difference up to which two frame rates are equal
SAME_ASPECT = 0.02  # relative difference up to which two aspect ratios are equal

#: Where a side-by-side image shows the visible half: axis that is split (0: height), and which half is visible.
ORDERS = {"visible-left": (1, 0), "visible-right": (1, 1), "visible-top": (0, 0), "visible-bottom": (0, 1)}


@dataclass(frozen=True, eq=False)
class PairedFrames(Frames):
    """Two one-modality recordings as one: each visible frame is paired with the infrared frame nearest in time."""

    visible: Frames
    infrared: Frames
    pace: float = 1.0  # infrared frames per visible frame
    matrix: np.ndarray | None = None  # [3, 3] infrared pixel -> visible pixel; None: the identity
    modalities: tuple[str, ...] = (VISIBLE, INFRARED)

    def __len__(self) -> int:
        return min(len(self.visible), int((len(self.infrared) - 0.5) / self.pace) + 1)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        visible, infrared = self.visible[index][0], self.infrared[self.partner(index)][0]
        if self.matrix is not None:
            infrared = warp(infrared, self.matrix, (visible.shape[1], visible.shape[0]))
        return [visible, infrared]

    def partner(self, index: int) -> int:
        """Index of the infrared frame that belongs to a visible one."""
        return min(round(index * self.pace), len(self.infrared) - 1)


@dataclass(frozen=True)
class HalfFrames(Frames):
    """One recording whose images show both cameras, side by side or one above the other."""

    whole: Frames
    order: str = "visible-left"  # of ORDERS
    modalities: tuple[str, ...] = (VISIBLE, INFRARED)

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        axis, first = ORDERS[self.order]
        whole = self.whole[index][0]
        half = whole.shape[axis] // 2  # the middle column of an odd width separates the halves and is left out
        halves = [whole.take(range(half), axis), whole.take(range(whole.shape[axis] - half, whole.shape[axis]), axis)]
        return [halves[first], halves[1 - first]]


def open_frames(visible: str | Path, infrared: str | Path | None = None, register: str | None = None) -> Frames:
    """Frames of one folder of images or video file; with `infrared`, pairs of frames from both.

    register: a file with the homography from infrared to visible pixels, or "estimate".
    Raises InputError for a source that does not exist or cannot be read, for different aspect ratios without a
    registration, and where a registration cannot be estimated.
    """
    first = open_source(visible)
    if infrared is None:
        return first
    second = open_source(infrared)
    if isinstance(first, FileFrames) and isinstance(second, FileFrames):
        first, second = pair_images(first, second)
    return pair_frames(first, second, (str(visible), str(infrared)), register)


def pair_images(visible: FileFrames, infrared: FileFrames) -> tuple[FileFrames, FileFrames]:
    """Two folders of images with the images that both have, by the rules of `lib.datasets.matching`, which says in one
    line what is left out."""
    folders = {VISIBLE: visible.paths[0], INFRARED: infrared.paths[0]}
    match = match_frames(f"{folders[VISIBLE][0].parent}", folders, {})
    if match.line:
        log.warning("%s: %s", folders[VISIBLE][0].parent, match.line)
    first, second = (FileFrames((pick(paths, match.places[key]),), (VISIBLE,)) for key, paths in folders.items())
    return first, second


def pair_frames(visible: Frames, infrared: Frames, names: tuple[str, str], register: str | None = None) -> PairedFrames:
    """As `open_frames`, for recordings that are already open. names: of the recordings, in messages."""
    rates = frame_rate(visible), frame_rate(infrared)
    pace = rates[1] / rates[0]
    if abs(pace - 1) <= SAME_RATE:
        pace = 1.0
    else:
        log.warning(
            "%s runs at %.4g frames/s, %s at %.4g: each visible frame gets the infrared frame nearest in time",
            *(names[0], rates[0], names[1], rates[1]),
        )
    paired = PairedFrames(visible, infrared, pace)
    used = len(paired), paired.partner(len(paired) - 1) + 1
    if max(len(visible) - used[0], len(infrared) - used[1]) > max(1.0, pace, 1 / pace) - 1:
        message = "%s has %d frames, %s %d; only the first %d of the visible and %d of the infrared ones are used"
        log.warning(message, names[0], len(visible), names[1], len(infrared), *used)
    return PairedFrames(visible, infrared, pace, choose_matrix(paired, names, register))


def choose_matrix(paired: PairedFrames, names: tuple[str, str], register: str | None) -> np.ndarray | None:
    """The homography from infrared to visible pixels of two recordings; None for the identity."""
    if register == ESTIMATE:
        return estimate_homography(paired)
    if register is not None:
        return read_homography(register)
    visible, infrared = paired[0]
    return match_size(visible, infrared, names)


def match_size(visible: np.ndarray, infrared: np.ndarray, names: tuple[str, str]) -> np.ndarray | None:
    """The scaling of an infrared image to the visible one's size, with one warning; None where the sizes are equal.

    Raises InputError for different aspect ratios: then one camera sees more, and scaling does not align the images.
    """
    sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (visible, infrared)]
    if sizes[0] == sizes[1]:
        return None
    shapes = [image.shape[1] / image.shape[0] for image in (visible, infrared)]
    if abs(shapes[1] / shapes[0] - 1) > SAME_ASPECT:
        raise InputError(
            f"{names[0]} is {sizes[0]}, {names[1]} is {sizes[1]}: different aspect ratios, so the cameras see "
            f"different parts of the scene; align them with --register {ESTIMATE} or --register FILE"
        )
    log.warning("%s is %s, %s is %s: infrared is scaled to the visible size", names[0], sizes[0], names[1], sizes[1])
    return scaling(visible, infrared)


def open_halves(path: str | Path, order: str) -> HalfFrames:
    """A side-by-side recording. order: one of ORDERS. Raises InputError where it cannot be read."""
    return HalfFrames(open_source(path), order)


def open_sequence(folder: str | Path) -> Sequence:
    """One sequence from its folder, in any known layout. Without an annotation its `boxes` has no rows.

    Raises InputError where the folder holds no sequence, or more than one.
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


def recorded_rate(frames: Frames) -> float:
    """Frames per second of a video of one or two modalities; 25 where that is not known."""
    if isinstance(frames, PairedFrames):
        return frame_rate(frames.visible)
    return frame_rate(frames.whole if isinstance(frames, HalfFrames) else frames)
