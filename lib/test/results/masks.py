"""Mask files beside results: an image for each frame, `masks/<sequence>/00000001.png` (255 where the target is), or one
text for each sequence, `masks/<sequence>.txt`, a line for each frame in the form of the VOT toolkit."""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...core.errors import InputError
from ...core.names import check_name
from ...core.target import Target

PNG, RUNS = FORMS = ("png", "rle")
_PART = ".part"  # ending of what is not yet whole


@dataclass(frozen=True)
class MaskWriter:
    """Writes the masks of sequences while they are tracked. Picklable."""

    folder: Path
    form: str  # of FORMS
    threshold: float  # pixels above this probability belong to the target

    def __call__(self, name: str, index: int, target: Target, size: tuple[int, int]) -> None:
        """Write the mask of a frame, its number from 0; size: height and width of the frame. A target without a mask
        has an empty one. Raises InputError for a folder that cannot be written."""
        path = self._part(name)
        inside = np.zeros(size, bool) if target.mask is None else target.mask.in_frame(size) > self.threshold
        try:
            if index == 0:
                _remove(path)
                path.parent.mkdir(parents=True, exist_ok=True)
            if self.form == PNG:
                path.mkdir(exist_ok=True)
                done, data = cv2.imencode(".png", inside.astype(np.uint8) * 255)
                (path / f"{index + 1:08d}.png").write_bytes(data.tobytes())
            else:
                with path.open("a", encoding="ascii") as file:
                    file.write(encode_mask(inside) + "\n")
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error

    def finish(self, name: str) -> None:
        """Give the masks of a sequence their name: they are whole."""
        whole = self.folder / (name if self.form == PNG else f"{name}.txt")
        _remove(whole)
        os.replace(self._part(name), whole)

    def discard(self, names: Iterable[str]) -> None:
        """Remove the masks of these sequences that are not finished."""
        for name in names:
            with suppress(OSError):
                _remove(self._part(name))
        with suppress(OSError):  # it is not empty, or not there
            self.folder.rmdir()

    def _part(self, name: str) -> Path:
        check_name(name, "sequence")
        return self.folder / f"{name}{_PART}"


def encode_mask(inside: np.ndarray) -> str:
    """A mask [H, W] bool as a region of the VOT toolkit: `m` and, separated by commas, first column and row, width and
    height of the part that is stored, and the lengths of runs in it row by row, the first one outside the target.

    >>> encode_mask(np.array([[False, False, False], [False, True, True], [False, True, False]]))
    'm1,1,2,2,0,3,1'
    """
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return "m0,0,0,0"
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    flat = inside[top:bottom, left:right].ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return "m" + ",".join(map(str, [left, top, right - left, bottom - top, *([0] if flat[0] else []), *runs]))


def decode_mask(text: str, size: tuple[int, int]) -> np.ndarray:
    """The mask [H, W] bool of a line that `encode_mask` wrote. Raises ValueError for one that does not fit the size.

    >>> decode_mask("m1,1,2,2,0,3,1", (3, 3)).astype(int).tolist()
    [[0, 0, 0], [0, 1, 1], [0, 1, 0]]
    """
    left, top, width, height, *runs = map(int, text.removeprefix("m").split(","))
    inside = np.zeros(size, bool)
    values = np.arange(len(runs)) % 2 == 1
    if sum(runs) != width * height or min(left, top) < 0 or top + height > size[0] or left + width > size[1]:
        raise ValueError(f"{text[:40]}: is no mask of a frame of {size[1]}x{size[0]}")
    inside[top : top + height, left : left + width] = np.repeat(values, runs).reshape(height, width)
    return inside


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
