"""What the sequence folders of all sets have in common: image folders, lengths that agree, a usable first box."""

import logging
import os
from collections import abc
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from ..core.errors import InputError
from ..core.words import counted
from .annotation import read_boxes
from .matching import match_frames
from .numbering import sort_images
from .sequence import FileFrames, Sequence

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class ImageList(abc.Sequence[Path]):
    """Image paths of one folder. Only names are stored: half a million paths would take seconds to build and pickle."""

    folder: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> "ImageList": ...
    def __getitem__(self, index: int | slice) -> "Path | ImageList":
        if isinstance(index, slice):
            return ImageList(self.folder, self.names[index])
        return self.folder / self.names[index]

    def pick(self, places: Iterable[int]) -> "ImageList":
        """The images at these places."""
        return ImageList(self.folder, tuple(self.names[place] for place in places))


@dataclass(frozen=True)
class NumberedImages(abc.Sequence[Path]):
    """Image paths whose names are consecutive numbers. Nothing is listed, so a million cost as much as one."""

    folder: Path
    length: int
    first: int = 1
    digits: int = 8  # 0: no leading zeros
    suffix: str = ".jpg"

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> "NumberedImages": ...
    def __getitem__(self, index: int | slice) -> "Path | NumberedImages":
        chosen = range(self.first, self.first + self.length)[index]
        if isinstance(chosen, int):
            return self.folder / f"{chosen:0{self.digits}d}{self.suffix}"
        if chosen.step != 1:
            raise IndexError("consecutive frames only")
        return replace(self, first=chosen.start, length=len(chosen))


def number_images(folder: Path, length: int, *, first: int = 1, digits: int = 8) -> abc.Sequence[Path]:
    """The images `first` to `first + length - 1`, of which only the two ends are checked; if one of these is missing,
    the images that the folder lists. Raises InputError as `list_images` does."""
    images = NumberedImages(folder, length, first, digits)
    return images if length and images[0].is_file() and images[-1].is_file() else list_images(folder)


def list_images(folder: str | Path) -> ImageList:
    """The images of a folder in the order of their frames. Raises InputError as `sort_images` does, and for a folder
    without images."""
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: image folder does not exist") from None
    with entries:
        names = [entry.name for entry in entries if is_image(entry.name)]
    if not names:
        raise InputError(f"{folder}: no images; expected {', '.join(suffix[1:] for suffix in IMAGE_SUFFIXES)} files")
    return ImageList(Path(folder), tuple(sort_images(folder, names)))


def is_image(name: str) -> bool:
    """Whether a file is one by its name. Hidden ones, such as ._1.jpg of macOS, are not."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def make_sequence(
    name: str, images: Mapping[str, Path | abc.Sequence[Path]], boxes: np.ndarray, **known: Any
) -> Sequence:
    """A sequence of the frames that all streams and the annotation have, by the rules of `lib.datasets.matching`, with
    one warning where they differ.

    images: modality -> folder, or its image paths. boxes: [T, 4] xywh pixels; a single row is the first box alone and
    does not limit the length. known: further arrays of `Sequence` with one row per frame (`boxes_infrared`,
    `visible_share`). Raises InputError where it is not clear what belongs together.
    """
    paths = {modality: list_images(what) if isinstance(what, Path) else what for modality, what in images.items()}
    if len(boxes) == 1:
        known = {}
    rows = {"boxes": boxes} | known
    match = match_frames(name, paths, {key: len(values) for key, values in rows.items()})
    if match.line:
        log.warning("%s: %s", name, match.line)
    rows = {key: values[match.rows[key]] for key, values in rows.items()}
    if has_area(boxes[0]) and not has_area(rows["boxes"][0]):
        raise InputError(f"{name}: {match.line}; the first of them has no box; add the missing images")
    frames = FileFrames(tuple(pick(listed, match.places[key]) for key, listed in paths.items()), tuple(paths))
    return Sequence(name, frames, **rows)


def pick(images: abc.Sequence[Path], places: Many[int]) -> abc.Sequence[Path]:
    """The images at ascending places, of which some may be there several times."""
    if np.array_equal(places, range(len(places))):
        return images[: len(places)]
    return images.pick(places) if isinstance(images, ImageList) else [images[place] for place in places]


def find_sequences(root: Path, marker: str, key: str, depth: int = 1) -> dict[str, Path]:
    """Sequence name -> folder of all that hold `marker` (a file or folder), up to `depth` levels down, sorted by path.

    Raises InputError that names the key of local.py when there is none, and for two with the same name, whose results
    would overwrite each other.
    """
    folders = sorted({path.parent for level in range(depth) for path in root.glob(f"{'*/' * level}*/{marker}")})
    if not folders:
        raise InputError(f"{root}: no sequences here; expected <sequence>/{marker}; set {key} in local.py")
    found: dict[str, Path] = {}
    for folder in folders:
        if folder.name in found:
            raise InputError(f"{folder} and {found[folder.name]} have the same name; remove one of them")
        found[folder.name] = folder
    return found


def check_count(root: Path, count: int, expected: int, what: str) -> None:
    """Warn when a set is not complete: its scores cannot be compared with published ones."""
    if count != expected:
        message = "%s: %s, %s has %d; scores cannot be compared with published ones"
        log.warning(message, root, counted(count, "sequence"), what, expected)


def first_existing(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of the named files that exists."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_started_boxes(path: Path) -> np.ndarray:
    """[T, 4] boxes whose first one can start a tracker. Raises InputError when it has no area."""
    return check_start(path, read_boxes(path))


def check_start(path: Path, boxes: np.ndarray) -> np.ndarray:
    """The same [T, 4] boxes of a file. Raises InputError when the first one has no area."""
    if not has_area(boxes[0]):
        shown = ",".join(f"{value:g}" for value in boxes[0])
        raise InputError(f"{path}: line 1: first box {shown} has no area; width and height must be above 0")
    if np.nanmax(np.abs(boxes)) <= 1 and (boxes[0] % 1 > 0).any():
        raise InputError(f"{path}: no number is above 1, as in fractions of the image; write x y w h in pixels")
    return boxes


def has_area(box: np.ndarray) -> bool:
    """Whether a box, [4] xywh, is finite and has width and height above 0."""
    return bool(np.isfinite(box).all() and (box[2:] > 0).all())
