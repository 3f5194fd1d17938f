"""A camera that is missing: what a model of two modalities sees in its place, in training and in tracking.

The absent stream is black, 0 in every pixel before normalisation, as a covered or dead sensor is, and as every crop is
outside its image.
"""

from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np

from lib.core.errors import InputError
from lib.datasets.sequence import INFRARED, VISIBLE, FileFrames, Frames, Sequence

ABSENT = 0  # value of every pixel
CAMERAS = (VISIBLE, INFRARED)


@dataclass(frozen=True)
class OneCamera(Frames):
    """Frames of which one modality is seen; of files the other is not even read, so that it may be missing."""

    frames: Frames  # of the camera that is there alone, or of both
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


def keep_camera(sequence: Sequence, kept: str, modalities: int) -> Sequence:
    """The sequence as a model of 1 or 2 modalities sees it when only one camera works.

    kept: "visible" or "infrared". A model of two gets the absent stream for the other, a model of one the camera that
    is there. With infrared alone the boxes are its own where the set annotates both streams. Raises InputError for a
    sequence that was not recorded with that camera.
    """
    frames = sequence.frames
    if kept not in frames.modalities:
        raise InputError(f"{sequence.name}: has no {kept} stream, only {', '.join(frames.modalities)}")
    if isinstance(frames, FileFrames):
        frames = FileFrames((frames.paths[frames.modalities.index(kept)],), (kept,))
    shown: Many[str] = CAMERAS if modalities == len(CAMERAS) else (kept,)
    boxes = sequence.boxes
    if kept == INFRARED and sequence.boxes_infrared is not None and len(sequence.boxes_infrared):
        boxes = sequence.boxes_infrared
    return Sequence(
        sequence.name,
        OneCamera(frames, kept, tuple(shown)),
        boxes,
        annotated=sequence.annotated,
        attributes=sequence.attributes,
        visible_share=sequence.visible_share,
        size=sequence.size,
    )
