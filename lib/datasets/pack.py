"""A data set as two files, for disks on which opening a million image files is slow: all images, and an index.

<packed_dir>/<name>/images.bin   the image files as they are, one after another, by sequence and stream
<packed_dir>/<name>/index.npz    where each image begins; names, boxes and everything else that a reader found
"""

import functools
import json
import os
import zipfile
from collections.abc import Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..core.atomic import fill_folder, is_empty_folder, write_atomically
from ..core.bounded import parse_json
from ..core.errors import InputError
from ..core.lock import hold
from ..core.names import check_name
from ..core.paths import typed_command
from .depth import Range, stream_range
from .image import decode_image, decode_stored
from .sequence import AnnotatedObjects, FileFrames, Frames, Sequence

VERSION = 2
IMAGES, INDEX = "images.bin", "index.npz"
ARRAYS = {"boxes": 4, "boxes_infrared": 4, "annotated": 1, "visible_share": 1, "objects": 6}  # columns


@dataclass(frozen=True, eq=False)
class PackedFrames(Frames):
    """Frames inside a packed file."""

    path: Path
    starts: np.ndarray  # [M, T + 1] int64, first byte of each image; the last column is the end of the stream
    modalities: tuple[str, ...]

    def __len__(self) -> int:
        return self.starts.shape[1] - 1

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return self.reduced(index, 1)

    def reduced(self, index: int, reduction: int) -> list[np.ndarray]:
        index = range(len(self))[index]
        return [self._read(row, index, reduction) for row in self.starts]

    def content(self, index: int) -> list[bytes]:
        index = range(len(self))[index]
        return [self._stored(row, index)[0].tobytes() for row in self.starts]

    def _read(self, row: np.ndarray, index: int, reduction: int) -> np.ndarray:
        return decode_image(*self._stored(row, index), reduction, functools.partial(self._range, row))

    def _stored(self, row: np.ndarray, index: int) -> tuple[np.ndarray, str]:
        """The content of an image file, and its name in messages."""
        start, end = row[index : index + 2].tolist()
        data = os.pread(_open(self.path, os.getpid()), end - start, start)
        return np.frombuffer(data, np.uint8), f"{self.path}: frame {index + 1} at byte {start}"

    def _range(self, row: np.ndarray) -> Range:
        name = f"{self.path} from byte {row[0]}"
        return stream_range(name, self.path, len(self), lambda index: decode_stored(*self._stored(row, index)))


@functools.lru_cache(maxsize=16)
def _open(path: Path, process: int) -> int:
    """A descriptor of this process; `pread` needs no position of its own, so that threads can share it."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise InputError(f"{path}: file does not exist; pack the data set again") from None


def pack(sequences: Many[Sequence], folder: Path) -> None:
    """Write the sequences of a set into `folder`. The index gets its name last, so a folder with an index is complete.

    Raises InputError when the folder is not empty, while another run writes it, for frames that are not files and for
    unreadable files.
    """
    with hold(folder.parent, "choose another --out", folder.name):
        if folder.exists() and not is_empty_folder(folder) and {path.name for path in folder.iterdir()} != {IMAGES}:
            raise InputError(f"{folder}: is not empty; remove it to pack the data set anew")
        with fill_folder(folder) as scratch:
            _write_pack(sequences, scratch, name=str(folder))


def _write_pack(sequences: Many[Sequence], folder: Path, *, name: str) -> None:
    """Write the two files. name: for the progress bar."""
    starts = [0]
    with write_atomically(folder / IMAGES) as temporary, temporary.open("wb") as file:
        for sequence in tqdm(sequences, desc=name, unit="sequence", dynamic_ncols=True):
            for path in _files(sequence):
                starts.append(starts[-1] + file.write(_content(path)))
    header = {"version": VERSION, "sequences": [_describe(sequence) for sequence in sequences]}
    arrays = {key: _together(sequences, key) for key in ARRAYS}
    with write_atomically(folder / INDEX) as temporary, temporary.open("wb") as file:
        text = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez(file, header=text, starts=np.array(starts, np.int64), **arrays)  # type: ignore[arg-type]


def read_pack(folder: Path) -> list[Sequence]:
    """The sequences of a packed set. Raises InputError when a file is missing, cut short or of another version, and for
    a sequence whose name leads to another folder."""
    try:
        return list(_unpack(folder / IMAGES, *_read_index(folder)))
    except InputError:
        raise
    except Exception:  # NumPy's and Python's readers of zip files raise any error on damaged bytes
        remedy = "remove the folder and pack the data set again"
        raise InputError(f"{folder}: {IMAGES} or {INDEX} is incomplete; {remedy}") from None


def _read_index(folder: Path) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """The description of the sequences, and the arrays. Raises any error where they are not whole."""
    with zipfile.ZipFile(folder / INDEX) as archive:
        if sum(info.file_size for info in archive.infolist()) > (folder / INDEX).stat().st_size:
            raise ValueError("compressed, which no packed set is")
    with np.load(folder / INDEX, allow_pickle=False) as content:
        arrays = {name: content[name] for name in ("header", "starts", *ARRAYS)}
    header, starts = parse_json(arrays["header"].tobytes()), arrays["starts"]
    frames = sum(len(entry["modalities"]) * entry["frames"] for entry in header["sequences"])
    if header["version"] != VERSION or starts.shape != (frames + 1,) or starts.dtype != np.int64:
        raise ValueError("of another version, or with other frames than its sequences have")
    if starts[0] != 0 or (np.diff(starts) < 0).any() or (folder / IMAGES).stat().st_size != starts[-1]:
        raise ValueError("images out of order, or missing")
    return header["sequences"], arrays


def _unpack(path: Path, described: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> Iterator[Sequence]:
    image, rows = 0, dict.fromkeys(ARRAYS, 0)
    for entry in described:
        check_name(entry["name"], f"{path.parent}: sequence")
        streams, length = len(entry["modalities"]), entry["frames"]
        first = image + np.arange(streams)[:, None] * length + np.arange(length + 1)
        known: dict[str, Any] = {}
        for name, count in entry["rows"].items():
            known[name] = arrays[name][rows[name] : rows[name] + count]
            rows[name] += count
        image += streams * length
        if entry["size"] is not None:
            known["size"] = tuple(entry["size"])
        if "objects" in known:
            known["objects"] = AnnotatedObjects(known["objects"], *entry["company"])
        frames = PackedFrames(path, arrays["starts"][first], tuple(entry["modalities"]))
        texts = {name: entry[name] for name in ("name", "attributes", "category", "video")}
        yield Sequence(frames=frames, **texts, **known)


def _files(sequence: Sequence) -> Iterator[Path]:
    if not isinstance(sequence.frames, FileFrames):
        raise InputError(f"{sequence.name}: its frames are not image files; this set cannot be packed")
    for paths in sequence.frames.paths:
        yield from paths


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        remedy = f"check the set with {typed_command('check', 'check_dataset')}"
        raise InputError(f"{path}: image does not exist; {remedy}") from None


def _describe(sequence: Sequence) -> dict[str, Any]:
    return {
        "name": sequence.name,
        "modalities": sequence.frames.modalities,
        "frames": len(sequence),
        "rows": {name: len(rows) for name in ARRAYS if (rows := _rows(sequence, name)) is not None},
        "attributes": sequence.attributes,
        "category": sequence.category,
        "video": sequence.video,
        "company": None if sequence.objects is None else [sequence.objects.own, sequence.objects.first],
        "size": sequence.size,
    }


def _together(sequences: Many[Sequence], name: str) -> np.ndarray:
    """The array `name` of all sequences that have it, concatenated."""
    found = [rows for sequence in sequences if (rows := _rows(sequence, name)) is not None]
    empty = np.zeros((0, ARRAYS[name]) if ARRAYS[name] > 1 else 0, np.int64 if name == "annotated" else np.float64)
    return np.concatenate([empty, *found])


def _rows(sequence: Sequence, name: str) -> np.ndarray | None:
    if name == "objects":
        return None if sequence.objects is None else sequence.objects.rows
    return getattr(sequence, name)
