"""What a sequence is, whatever data set it belongs to: frames per modality, boxes, flags."""

import functools
import hashlib
from abc import ABC, abstractmethod
from collections import abc
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import cv2
import numpy as np

from ..core.errors import InputError
from ..core.frame import BLACK, INFRARED, VISIBLE, Streams
from .depth import Range, stream_range
from .image import read_image, read_stored, shrink
from .mask import Masks
from .orientation import ONE_IS_TURNED


class Frames(ABC):
    """The images of a sequence. Picklable, so that loader workers can have copies."""

    modalities: tuple[str, ...]  # (VISIBLE, INFRARED) or (VISIBLE,)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> list[np.ndarray]:
        """One [H, W, 3] uint8 RGB image per modality. Raises InputError with the path of an unreadable file."""

    def reduced(self, index: int, reduction: int) -> list[np.ndarray]:
        """As `self[index]`, reduced by 1, 2, 4 or 8 as `lib.datasets.image` says; for files this is faster."""
        return [shrink(image, reduction) for image in self[index]]

    def content(self, index: int) -> list[bytes]:
        """The image files of a frame as they are; the pixels where there are no files. Raises as `self[index]`."""
        return [image.tobytes() for image in self[index]]

    def fingerprint(self) -> str:
        """16 hexadecimal digits of the content of the first and the last frame; "" where one cannot be read."""
        summed = hashlib.sha256()
        try:
            for index in (0, len(self) - 1):
                for content in self.content(index):
                    summed.update(content)
        except (InputError, OSError, IndexError):
            return ""
        return summed.hexdigest()[:16]


@dataclass(frozen=True)
class FileFrames(Frames):
    """Frames on disk: one list of paths per modality, paired by position."""

    paths: tuple[abc.Sequence[Path], ...]
    modalities: tuple[str, ...] = (VISIBLE, INFRARED)

    def __len__(self) -> int:
        return len(self.paths[0])

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return self.reduced(index, 1)

    def reduced(self, index: int, reduction: int) -> list[np.ndarray]:
        return [self.read(stream, index, reduction) for stream in range(len(self.paths))]

    def read(self, stream: int, index: int, reduction: int = 1) -> np.ndarray:
        """One image of one modality. All images of a stream with more than 8 bits a value have one range."""
        paths = self.paths[stream]
        return read_image(paths[index], reduction, functools.partial(range_of_files, paths))

    def content(self, index: int) -> list[bytes]:
        return [paths[index].read_bytes() for paths in self.paths]


def range_of_files(paths: abc.Sequence[Path]) -> Range:
    """The range of a stream of image files."""
    first = paths[0]
    return stream_range(str(first.parent), first, len(paths), lambda index: read_stored(paths[index]))


@dataclass(frozen=True, eq=False)
class AnnotatedObjects:
    """All annotated objects of a video or an image, the target included. Its sequences share the array."""

    rows: np.ndarray  # [N, 6] frame, identity, xywh pixels
    own: int  # identity of the sequence's target
    first: int = 0  # number of the sequence's first frame in `rows`

    def others(self, frame: int) -> np.ndarray:
        """[K, 4] xywh pixels of all objects but the target in a frame of the sequence."""
        here = (self.rows[:, 0] == self.first + frame) & (self.rows[:, 1] != self.own)
        return self.rows[here, 2:]

    def find(self, frame: int, identity: int) -> np.ndarray:
        """[K, 4] xywh pixels of one object in a frame of the sequence, K 0 where it is not annotated."""
        here = (self.rows[:, 0] == self.first + frame) & (self.rows[:, 1] == identity)
        return self.rows[here, 2:]


@dataclass(frozen=True, eq=False)
class Sequence:
    """One video with one annotated target. T = annotated frames, which may be fewer than the frames."""

    name: str
    frames: Frames
    boxes: np.ndarray  # [T, 4] float64, xywh pixels, of the visible stream (of the common one where there is one)
    boxes_infrared: np.ndarray | None = None  # [T, 4], for sets that annotate both streams separately
    annotated: np.ndarray | None = None  # [T] int, frame index of each box row; None: row k belongs to frame k
    attributes: dict[str, bool] = field(default_factory=dict)
    visible_share: np.ndarray | None = None  # [T] float in [0, 1], unoccluded share of the target, where known
    size: tuple[int, int] | None = None  # (width, height) of the frames in pixels, where the set states it
    category: str = ""  # what the target is, in the set's own words; "": not known
    video: str = ""  # the video or image that several sequences are tracks or objects of; "": it is the only one
    objects: AnnotatedObjects | None = None  # all annotated objects of its frames, where the set has them
    masks: Masks | None = None  # the target's pixels in each frame (of the visible stream), where the set has them

    @property
    def valid(self) -> np.ndarray:
        """[T] bool: rows whose target is present (width and height above 0)."""
        return (self.boxes[:, 2] > 0) & (self.boxes[:, 3] > 0)

    @property
    def first_boxes(self) -> list[np.ndarray]:
        """The first annotated box of each stream that has its own annotation, [4] xywh pixels."""
        return [boxes[0] for boxes in (self.boxes, self.boxes_infrared) if boxes is not None and len(boxes)]

    def first_box(self, streams: Streams) -> np.ndarray:
        """The box that a tracker which reads `streams` starts from: [4] xywh pixels, or [2, 4] where it takes one for
        each image and both are annotated."""
        own = self.first_boxes if streams.own_boxes else []
        usable = len(own) == 2 and bool((own[1][2:] > 0).all())
        return np.stack(own) if usable else self.boxes[0]

    def __len__(self) -> int:
        return len(self.frames)

    def frame_of(self, row: int) -> int:
        """The frame that a row of the annotation belongs to."""
        return row if self.annotated is None else int(self.annotated[row])


class Collection(abc.Sequence[Sequence]):
    """Sequences that are made on access: a set holds hundreds of thousands, and training draws a few of them."""

    still: bool = False  # whether each shows one image

    @property
    @abstractmethod
    def categories(self) -> abc.Sequence[str]:
        """The category of each sequence. No sequence is made for it."""

    @abstractmethod
    def make(self, index: int) -> Sequence:
        """Make the sequence at an index."""

    @overload
    def __getitem__(self, index: int) -> Sequence: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sequence]: ...
    def __getitem__(self, index: int | slice) -> Sequence | list[Sequence]:
        places = range(len(self))[index]
        return self.make(places) if isinstance(places, int) else [self.make(place) for place in places]


def stack_modalities(images: abc.Sequence[np.ndarray], modalities: int, name: str) -> np.ndarray:
    """The images of `pick_modalities` as one: [H, W, 3 * modalities] uint8."""
    picked = pick_modalities(images, Streams(modalities), name)
    return picked[0] if modalities == 1 else cv2.merge(picked)


def pick_modalities(images: abc.Sequence[np.ndarray], streams: Streams, name: str) -> list[np.ndarray]:
    """One frame as a tracker reads it: [H, W, 3] uint8 for each of its modalities.

    A missing infrared image is replaced by a grey copy of the visible one, since infrared images have three equal
    channels, or by a black image, as `streams` says. A tracker of one modality reads one stream and ignores the other.
    Raises InputError, which names the sequence, when the two differ in size: all channels share one geometry.
    """
    if streams.modalities == 1:
        return [images[-1] if streams.single == INFRARED else images[0]]
    if len(images) == 1:
        if streams.missing == BLACK:
            return [images[0], np.zeros_like(images[0])]
        return [images[0], cv2.cvtColor(cv2.cvtColor(images[0], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)]
    sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in images]
    if sizes[0] != sizes[1]:
        what = "the two must be registered to each other and equal in size"
        if images[0].shape[:2] == images[1].shape[1::-1]:
            what = ONE_IS_TURNED
        raise InputError(f"{name}: {VISIBLE} image is {sizes[0]}, {INFRARED} image is {sizes[1]}; {what}")
    return list(images)
