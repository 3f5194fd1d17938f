"""What a sequence is, whatever set it comes from: frames per modality, boxes, flags."""

from abc import ABC, abstractmethod
from collections import abc
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import cv2
import numpy as np

from ..core.errors import InputError
from .image import read_image, shrink

VISIBLE, INFRARED = "visible", "infrared"


class Frames(ABC):
    """The pictures of a sequence. Picklable, so that loader workers can have their own."""

    modalities: tuple[str, ...]  # (VISIBLE, INFRARED) or (VISIBLE,)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> list[np.ndarray]:
        """One [H, W, 3] uint8 RGB image per modality. Raises InputError with the path of an unreadable file."""

    def reduced(self, index: int, reduction: int) -> list[np.ndarray]:
        """As `self[index]`, reduced by 1, 2, 4 or 8 as `lib.datasets.image` says; files take less time that way."""
        return [shrink(image, reduction) for image in self[index]]


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
        return [read_image(paths[index], reduction) for paths in self.paths]


@dataclass(frozen=True, eq=False)
class AnnotatedObjects:
    """All annotated objects of a video or an image; the sequences that were made of it share the array."""

    rows: np.ndarray  # [N, 6] frame, identity, xywh pixels
    own: int  # identity of the sequence's target
    first: int = 0  # what the sequence's first frame is called here

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
    video: str = ""  # what several sequences are parts of, tracks of a video or objects of an image; "": it is alone
    objects: AnnotatedObjects | None = None  # what else is annotated in its frames, where the set says so

    @property
    def valid(self) -> np.ndarray:
        """[T] bool: rows whose target is present (width and height above 0)."""
        return (self.boxes[:, 2] > 0) & (self.boxes[:, 3] > 0)

    def __len__(self) -> int:
        return len(self.frames)

    def frame_of(self, row: int) -> int:
        """The frame that a row of the annotation belongs to."""
        return row if self.annotated is None else int(self.annotated[row])


class Collection(abc.Sequence[Sequence]):
    """Sequences that are made when they are asked for: there are hundreds of thousands, and training draws a few."""

    still: bool = False  # whether each shows one image

    @property
    @abstractmethod
    def categories(self) -> abc.Sequence[str]:
        """The category of each sequence, without making any."""

    @abstractmethod
    def make(self, index: int) -> Sequence:
        """One of them, by its place."""

    @overload
    def __getitem__(self, index: int) -> Sequence: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sequence]: ...
    def __getitem__(self, index: int | slice) -> Sequence | list[Sequence]:
        places = range(len(self))[index]
        return self.make(places) if isinstance(places, int) else [self.make(place) for place in places]


def stack_modalities(images: abc.Sequence[np.ndarray], modalities: int, name: str) -> np.ndarray:
    """The images of `pick_modalities` as one: [H, W, 3 * modalities] uint8."""
    picked = pick_modalities(images, modalities, name)
    return picked[0] if modalities == 1 else cv2.merge(picked)


def pick_modalities(images: abc.Sequence[np.ndarray], modalities: int, name: str) -> list[np.ndarray]:
    """One frame as a model of 1 or 2 modalities reads it: [H, W, 3] uint8 for each of them.

    A visible image alone stands in for the infrared one as its grey copy, since infrared images are grey in three
    equal channels. A model of one modality reads the visible image and leaves the infrared one.
    Raises InputError, which names the sequence, when the two differ in size: all channels share one geometry.
    """
    if modalities == 1:
        return [images[0]]
    if len(images) == 1:
        return [images[0], cv2.cvtColor(cv2.cvtColor(images[0], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)]
    sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in images]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"{name}: {VISIBLE} image is {sizes[0]}, {INFRARED} image is {sizes[1]}; "
            "the two must be registered to each other and equal in size"
        )
    return list(images)
