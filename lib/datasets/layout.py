"""What the sequence folders of all sets have in common: image folders, lengths that agree, a usable first box."""

import logging
import os
import re
from collections import abc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from ..core.errors import InputError
from .annotation import read_boxes
from .sequence import FileFrames, Sequence

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
FRAME = re.compile(r"(\d+)\D*\.(?:jpe?g|png|bmp|tiff?)$", re.IGNORECASE)  # 00001v.png, v000000.jpg, 00001_i.bmp, 0.jpg


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
    """The images of a folder in the order of the last integer in their stems (digit counts may differ).

    Raises InputError for an image without a number, for a number that occurs twice, and for a folder with no images.
    """
    numbered = sorted(_numbered_images(folder))
    if not numbered:
        raise InputError(f"{folder}: no images; expected {', '.join(suffix[1:] for suffix in IMAGE_SUFFIXES)} files")
    for (number, name), (following, other) in zip(numbered, numbered[1:], strict=False):
        if number == following:
            raise InputError(f"{folder}: {name} and {other} are both frame {number}; remove one of them")
    return ImageList(Path(folder), tuple(name for _, name in numbered))


def make_sequence(
    name: str, images: Mapping[str, Path | abc.Sequence[Path]], boxes: np.ndarray, **known: Any
) -> Sequence:
    """A sequence whose images and annotation have one length: the shortest, with one warning where they differ.

    images: modality -> folder, or its image paths. boxes: [T, 4] xywh pixels; a single row is the first box alone and
    does not limit the length. known: further arrays of `Sequence` with one row per frame (`boxes_infrared`,
    `visible_share`).
    """
    paths = {modality: list_images(what) if isinstance(what, Path) else what for modality, what in images.items()}
    counts = {f"{modality} images": len(listed) for modality, listed in paths.items()}
    if len(boxes) > 1:
        counts |= {"boxes": len(boxes)} | {key.replace("_", " "): len(rows) for key, rows in known.items()}
    else:
        known = {}
    length = min(counts.values())
    if length != max(counts.values()):
        found = ", ".join(f"{count} {what}" for what, count in counts.items())
        log.warning("%s: %s; only the first %d frames are used", name, found, length)
    frames = FileFrames(tuple(listed[:length] for listed in paths.values()), tuple(paths))
    return Sequence(name, frames, boxes[:length], **{key: rows[:length] for key, rows in known.items()})


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
        message = "%s: %d sequences, %s has %d; scores cannot be compared with published ones"
        log.warning(message, root, count, what, expected)


def first_existing(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of the named files that exists."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_started_boxes(path: Path) -> np.ndarray:
    """[T, 4] boxes whose first one can start a tracker. Raises InputError when it has no area."""
    return check_start(path, read_boxes(path))


def check_start(path: Path, boxes: np.ndarray) -> np.ndarray:
    """The same [T, 4] boxes of a file. Raises InputError when the first one has no area."""
    if not (np.isfinite(boxes[0]).all() and (boxes[0, 2:] > 0).all()):
        shown = ",".join(f"{value:g}" for value in boxes[0])
        raise InputError(f"{path}: line 1: first box {shown} has no area; width and height must be above 0")
    return boxes


def _numbered_images(folder: str | Path) -> list[tuple[int, str]]:
    numbered = []
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: image folder does not exist") from None
    with entries:
        for entry in entries:
            match = FRAME.search(entry.name)
            if match is not None and not entry.name.startswith("."):
                numbered.append((int(match.group(1)), entry.name))
            elif entry.name.lower().endswith(IMAGE_SUFFIXES) and not entry.name.startswith("."):
                raise InputError(f"{entry.path}: image name holds no frame number; rename or remove it")
    return numbered
