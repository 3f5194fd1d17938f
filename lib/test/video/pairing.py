"""Two recordings, or one side-by-side recording, as one visible + infrared video.

The recordings may differ in length, frame rate and resolution. Frames are paired by time, and the infrared image is
scaled to the size of the visible one or warped to it by a homography. Each difference is logged in one line.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...datasets.layout import first_existing, pick
from ...datasets.matching import match_frames, own_times
from ...datasets.orientation import ONE_IS_TURNED
from ...datasets.readers.folder import PAIRED, SINGLE, read_folder
from ...datasets.sequence import INFRARED, VISIBLE, FileFrames, Frames, Sequence
from ...datasets.streams import doubt_streams, find_stream_folders
from ...datasets.times import ASSUMED, STAMPS, Clock, Pairs, are_together, pair_in_order, pair_nearest, pair_regular
from .homography import ESTIMATE, estimate_homography, read_homography, scaling, warp
from .video import frame_rate, open_source, read_clock

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
    pairs: Pairs
    matrix: np.ndarray | None = None  # [3, 3] infrared pixel -> visible pixel; None: the identity
    modalities: tuple[str, ...] = (VISIBLE, INFRARED)

    def __len__(self) -> int:
        return len(self.pairs.first)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        visible = self.visible[int(self.pairs.first[index])][0]
        infrared = self.infrared[int(self.pairs.second[index])][0]
        if self.matrix is not None:
            infrared = warp(infrared, self.matrix, (visible.shape[1], visible.shape[0]))
        return [visible, infrared]


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


def open_frames(
    visible: str | Path,
    infrared: str | Path | None = None,
    register: str | None = None,
    fps: tuple[float | None, float | None] = (None, None),
) -> Frames:
    """Frames of one folder of images or video file; with `infrared`, pairs of frames from both.

    register: a file with the homography from infrared to visible pixels, or "estimate". fps: frames per second of each
    recording, where it does not tell them itself.
    Raises InputError for a source that does not exist or cannot be read, for different aspect ratios without a
    registration, and where a registration cannot be estimated.
    """
    first: Frames = open_source(visible)
    if infrared is None:
        return first
    second: Frames = open_source(infrared)
    names = str(visible), str(infrared)
    if isinstance(first, FileFrames) and isinstance(second, FileFrames) and not have_times(first, second, fps):
        first, second = pair_images(first, second)
        pairs = pair_in_order((read_clock(first), read_clock(second)))
    else:
        pairs = pair_by_time((read_clock(first, fps[0]), read_clock(second, fps[1])), names)
    paired = PairedFrames(first, second, pairs)
    warn_of_streams(paired[0], ", ".join(names))
    return replace(paired, matrix=choose_matrix(paired, names, register))


def have_times(visible: FileFrames, infrared: FileFrames, fps: tuple[float | None, float | None]) -> bool:
    """Whether two folders of images are paired by time: their images are named by times of which less than half are in
    both, or the user tells two rates."""
    names = [[path.name for path in frames.paths[0]] for frames in (visible, infrared)]
    return own_times(names) is not None or fps[0] != fps[1]


def pair_images(visible: FileFrames, infrared: FileFrames) -> tuple[FileFrames, FileFrames]:
    """Two folders of images with the images that both have, by the rules of `lib.datasets.matching`, which says in one
    line what is left out."""
    folders = {VISIBLE: visible.paths[0], INFRARED: infrared.paths[0]}
    match = match_frames(f"{folders[VISIBLE][0].parent}", folders, {})
    if match.line:
        log.warning("%s: %s", folders[VISIBLE][0].parent, match.line)
    first, second = (FileFrames((pick(paths, match.places[key]),), (VISIBLE,)) for key, paths in folders.items())
    return first, second


def pair_by_time(clocks: tuple[Clock, Clock], names: tuple[str, str]) -> Pairs:
    """Which frames of two recordings belong together; one line where it is not frame k with frame k, and one where
    frames are left out."""
    one, two = clocks
    even = one.regular and two.regular and not one.source == two.source == STAMPS
    nearest = "each visible frame gets the infrared frame nearest in time"
    if are_together(clocks) or (even and abs(two.rate / one.rate - 1) <= SAME_RATE):
        pairs = pair_in_order(clocks)
    elif even:
        rates = [f"{c.rate:.4g}{' (assumed; --fps tells it)' * (c.source == ASSUMED)}" for c in clocks]
        log.warning("%s runs at %s frames/s, %s at %s: %s", names[0], rates[0], names[1], rates[1], nearest)
        pairs = pair_regular(clocks)
    else:
        pairs = pair_nearest(clocks)
        shown = "%s and %s have times of their own: %s, at most %.2g s from it"
        log.warning(shown, *names, nearest, pairs.farthest)
    _say_unused(clocks, names, pairs)
    return pairs


def _say_unused(clocks: tuple[Clock, Clock], names: tuple[str, str], pairs: Pairs) -> None:
    lengths = [len(clock.times) for clock in clocks]
    pace = clocks[1].rate / clocks[0].rate
    used = len(pairs.first), int(pairs.second[-1]) + 1
    if pairs.first[0] or max(lengths[0] - used[0], lengths[1] - used[1]) > max(1.0, pace, 1 / pace) - 1:
        start = "first " if not pairs.first[0] else ""
        message = "%s has %d frames, %s %d; only the %s%d of the visible and %d of the infrared ones are used"
        log.warning(message, names[0], lengths[0], names[1], lengths[1], start, *used)


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
        if abs(shapes[1] * shapes[0] - 1) <= SAME_ASPECT:
            raise InputError(f"{names[0]} is {sizes[0]}, {names[1]} is {sizes[1]}: {ONE_IS_TURNED}")
        raise InputError(
            f"{names[0]} is {sizes[0]}, {names[1]} is {sizes[1]}: different aspect ratios, so the cameras see "
            f"different parts of the scene; align them with --register {ESTIMATE} or --register FILE"
        )
    log.warning("%s is %s, %s is %s: infrared is scaled to the visible size", names[0], sizes[0], names[1], sizes[1])
    return scaling(visible, infrared)


def open_halves(path: str | Path, order: str) -> HalfFrames:
    """A side-by-side recording. order: one of ORDERS. Raises InputError where it cannot be read."""
    halves = HalfFrames(open_source(path), order)
    warn_of_streams(halves[0], f"{path}, {order}")
    return halves


def open_sequence(folder: str | Path) -> Sequence:
    """One sequence from its folder, in any known layout. Without an annotation its `boxes` has no rows.

    Raises InputError where the folder holds no sequence, or more than one.
    """
    path = Path(folder)
    folders = find_stream_folders(path) if path.is_dir() else {}
    if VISIBLE in folders and first_existing(path, (*PAIRED, *SINGLE)) is None:
        frames = open_frames(folders[VISIBLE], folders.get(INFRARED))
        return Sequence(path.resolve().name, frames, np.zeros((0, 4)))
    found = read_folder(path)
    if len(found) > 1:
        raise InputError(f"{path}: holds {len(found)} sequences; name one of them, for example {path / found[0].name}")
    frames = found[0].frames
    if len(frames.modalities) > 1:
        warn_of_streams(frames[0], str(path))
    return found[0]


def warn_of_streams(pair: list[np.ndarray], name: str) -> None:
    """Log one line where two images, [H, W, 3] uint8 RGB, are hardly a visible and an infrared one."""
    doubt = doubt_streams(*pair)
    if doubt:
        log.warning("%s: %s", name, doubt)


def recorded_rate(frames: Frames) -> float:
    """Usual frames per second of a video of one or two modalities; 25 where that is not known."""
    if isinstance(frames, PairedFrames):
        return frame_rate(frames.visible)
    return frame_rate(frames.whole if isinstance(frames, HalfFrames) else frames)
