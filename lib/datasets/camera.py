"""A missing or broken camera: what a two-modality model gets in its place, in training and in tracking.

The absent stream is black (every pixel is 0 before normalisation), like a covered or dead sensor and like OSTrack's
padding of crops.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import InputError
from ..core.frame import INFRARED, VISIBLE
from ..core.words import counted
from .sequence import FileFrames, Frames, Sequence

ABSENT = 0  # value of every pixel
CAMERAS = (VISIBLE, INFRARED)


@dataclass(frozen=True)
class OneCamera(Frames):
    """Frames with one modality. Files of the other modality are not read, so they may be missing."""

    frames: Frames  # of the working camera alone, or of both cameras
    kept: str  # VISIBLE or INFRARED
    modalities: tuple[str, ...] = CAMERAS

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return self.reduced(index, 1)

    def reduced(self, index: int, reduction: int) -> list[np.ndarray]:
        seen = self.frames.reduced(index, reduction)[self.frames.modalities.index(self.kept)]
        absent = np.full_like(seen, ABSENT)
        streams = {VISIBLE: absent, INFRARED: absent} | {self.kept: seen}
        return [streams[name] for name in self.modalities]

    def content(self, index: int) -> list[bytes]:
        return [self.frames.content(index)[self.frames.modalities.index(self.kept)]]


@dataclass(frozen=True)
class TwoCameras(Frames):
    """Frames of two cameras; what is wrong with one of them is said by `reduced` of a subclass."""

    whole: Frames

    @property
    def modalities(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.whole.modalities

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return self.reduced(index, 1)

    def content(self, index: int) -> list[bytes]:
        return self.whole.content(index)


@dataclass(frozen=True)
class FailingCamera(TwoCameras):
    """One of the cameras fails during the sequence."""

    rest: OneCamera  # the frames of the working camera
    since: int  # first frame without the failed camera

    def reduced(self, index: int, reduction: int) -> list[np.ndarray]:
        return (self.whole if index < self.since else self.rest).reduced(index, reduction)


@dataclass(frozen=True)
class NoisyCamera(TwoCameras):
    """One of the cameras shows noise alone: grey, uniform, new in each frame, the same in each run."""

    noisy: str  # VISIBLE or INFRARED

    def reduced(self, index: int, reduction: int) -> list[np.ndarray]:
        images = list(self.whole.reduced(index, reduction))
        place = self.modalities.index(self.noisy)
        noise = np.random.default_rng(index).integers(0, 256, (*images[place].shape[:2], 1), np.uint8)
        images[place] = np.repeat(noise, 3, axis=2)
        return images


def replace_by_noise(sequence: Sequence, noisy: str) -> Sequence:
    """The sequence with noise in all frames of one stream. Raises InputError for a sequence of one camera."""
    if sequence.frames.modalities != CAMERAS:
        raise InputError(f"{sequence.name}: has only the {', '.join(sequence.frames.modalities)} stream, none to spare")
    return replace(sequence, frames=NoisyCamera(sequence.frames, noisy))


def keep_camera(sequence: Sequence, kept: str, modalities: int, since: int = 0) -> Sequence:
    """The sequence as a model of 1 or 2 modalities gets it when only one camera works.

    kept: "visible" or "infrared"; since: first frame without the other camera. A two-modality model gets the absent
    stream in its place, a one-modality model gets the working camera. With infrared alone from frame 0, the infrared
    boxes are used where the set annotates both streams. Raises InputError for a sequence without the kept camera and,
    when `since` is above 0, for a sequence without the other camera or with no more than `since` frames.
    """
    frames = sequence.frames
    if kept not in frames.modalities:
        raise InputError(f"{sequence.name}: has no {kept} stream, only {', '.join(frames.modalities)}")
    if since and frames.modalities != CAMERAS:
        raise InputError(f"{sequence.name}: has only the {kept} stream, so no camera can fail at frame {since + 1}")
    if since and since >= len(sequence):
        length = counted(len(sequence), "frame")
        raise InputError(f"{sequence.name}: has {length}, so no camera can fail at frame {since + 1}")
    if isinstance(frames, FileFrames):
        frames = FileFrames((frames.paths[frames.modalities.index(kept)],), (kept,))
    shown: Many[str] = CAMERAS if modalities == len(CAMERAS) else (kept,)
    one = OneCamera(frames, kept, tuple(shown))
    both_first = since > 0 and modalities == len(CAMERAS)
    boxes = sequence.boxes
    if kept == INFRARED and not since and sequence.boxes_infrared is not None and len(sequence.boxes_infrared):
        boxes = sequence.boxes_infrared
    return Sequence(
        sequence.name,
        FailingCamera(sequence.frames, one, since) if both_first else one,
        boxes,
        annotated=sequence.annotated,
        attributes=sequence.attributes,
        visible_share=sequence.visible_share,
        size=sequence.size,
    )
