"""A data set as two files, for disks on which opening a million image files is slow: all images, and an index.

<packed_dir>/<name>/images.lmdb   the image files as they are, in LMDB (`lib.datasets.store`)
<packed_dir>/<name>/index.npz     their sizes and checksums; names, boxes and everything else that a reader found
"""

import json
import os
import shlex
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence as Many
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from ..core.atomic import remove_leftovers, write_atomically
from ..core.bounded import parse_json
from ..core.errors import InputError
from ..core.lock import hold
from ..core.names import check_name
from ..core.paths import typed_command
from .sequence import INFRARED, VISIBLE, AnnotatedObjects, FileFrames, Sequence
from .store import StoredFrames, image_key, read_about
from .store_writer import StoreWriter, fill_store, unfinished

VERSION = 3
IMAGES, INDEX = "images.lmdb", "index.npz"
FORMER = "images.bin"  # of version 2
_AGAIN = "remove the folder and pack the data set again"
ABOUT = {"content": "image files"}
ARRAYS = {"boxes": 4, "boxes_infrared": 4, "annotated": 1, "visible_share": 1, "objects": 6}  # columns


def is_packed(folder: Path) -> bool:
    """Whether a folder holds a packed set, of this or of an earlier version; one that is not complete is none."""
    return (folder / IMAGES).is_file() or (folder / FORMER).is_file()


def is_begun(folder: Path) -> bool:
    """Whether a folder holds a part of a packed set that is not complete."""
    return not is_packed(folder) and ((folder / INDEX).is_file() or unfinished(folder / IMAGES).is_file())


def pack(sequences: Many[Sequence], folder: Path) -> None:
    """Write the sequences of a set into `folder`. The images get their name last, so a folder with them is complete;
    an interrupted run goes on where it stopped.

    Raises InputError when the folder holds anything else, while another run writes it, for frames that are not files,
    for two sequences of one name and for unreadable files.
    """
    _check_sequences(sequences)
    with hold(folder.parent, "choose another --out", folder.name):
        _check_folder(folder)
        with fill_store(folder / IMAGES, ABOUT) as store:
            bar = tqdm(sequences, desc=str(folder), unit="sequence", dynamic_ncols=True)
            kept = [_keep(store, key, path) for sequence in bar for key, path in _files(sequence)]
            _write_index(sequences, kept, folder / INDEX)
            store.complete(len(kept))


def _check_sequences(sequences: Many[Sequence]) -> None:
    names = set()
    for sequence in sequences:
        next(_files(sequence), None)
        if sequence.masks is not None:
            raise InputError(f"{sequence.name}: has masks, which a packed set does not hold; read this set as it is")
        if sequence.name in names:
            raise InputError(f"{sequence.name}: two sequences have this name; this set cannot be packed")
        names.add(sequence.name)


def _files(sequence: Sequence) -> Iterator[tuple[str, Path]]:
    """Key and path of each image."""
    if not isinstance(sequence.frames, FileFrames):
        raise InputError(f"{sequence.name}: its frames are not image files; this set cannot be packed")
    for modality, paths in zip(sequence.frames.modalities, sequence.frames.paths, strict=True):
        for frame, path in enumerate(paths):
            yield image_key(sequence.name, modality, frame), path


def _check_folder(folder: Path) -> None:
    """Raise InputError where a folder holds anything but the beginning of a packed set."""
    if not folder.is_dir():
        return
    remove_leftovers(folder / INDEX)
    names = {path.name for path in folder.iterdir()}
    if FORMER in names:
        raise InputError(_repack(folder))
    if names - {unfinished(folder / IMAGES).name, INDEX}:
        raise InputError(f"{folder}: is not empty; remove it to pack the data set anew")


def _repack(folder: Path) -> str:
    command = f"{typed_command('pack', 'pack_dataset')} {folder.name} --out {shlex.quote(str(folder.parent))}"
    return f"{folder}: packed by an earlier version, into {FORMER}; remove this folder and pack again with: {command}"


class Kept(NamedTuple):
    """An image in the store."""

    size: int  # bytes
    checksum: int  # CRC-32 of them


def _keep(store: StoreWriter, key: str, path: Path) -> Kept:
    """Put an image file into the store, unless it is there and has not changed since."""
    try:
        size = store.size(key)
        if size is None or (status := os.stat(path)).st_size != size or status.st_mtime_ns >= store.before:
            content = path.read_bytes()
            store.put(key, content)
            return Kept(len(content), zlib.crc32(content))
    except FileNotFoundError:
        remedy = f"check the set with {typed_command('check', 'check_dataset')}"
        raise InputError(f"{path}: image does not exist; {remedy}") from None
    return Kept(size, store.checksum(key))


def _write_index(sequences: Many[Sequence], kept: list[Kept], path: Path) -> None:
    header = {"version": VERSION, "sequences": [_describe(sequence) for sequence in sequences]}
    arrays = {key: _together(sequences, key) for key in ARRAYS}
    arrays["sizes"] = np.array([image.size for image in kept], np.int64)
    arrays["checksums"] = np.array([image.checksum for image in kept], np.uint32)
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        text = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez(file, header=text, **arrays)  # type: ignore[arg-type]


def read_pack(folder: Path) -> list[Sequence]:
    """The sequences of a packed set. Raises InputError when a file is missing, cut short or of another version, for two
    sequences of one name, and for a name that leads to another folder."""
    if not (folder / IMAGES).is_file() and (folder / FORMER).is_file():
        raise InputError(_repack(folder))
    images = Path(os.path.realpath(folder / IMAGES))  # a process may open the file under one name only
    number = read_about(images)["images"]
    try:
        described, arrays = _read_index(folder)
        if len(arrays["sizes"]) != number:
            raise ValueError("other images than the store has")
        twice = [name for name, count in Counter(entry["name"] for entry in described).items() if count > 1]
        if twice:
            raise InputError(f"{folder}: two sequences in {INDEX} are called {twice[0]}; {_AGAIN}")
        return list(_unpack(images, described, arrays))
    except InputError:
        raise
    except Exception:  # NumPy's and Python's readers of zip files raise any error on damaged bytes
        raise InputError(f"{folder}: {IMAGES} or {INDEX} is incomplete; {_AGAIN}") from None


def _read_index(folder: Path) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """The description of the sequences, and the arrays. Raises any error where they are not whole."""
    with zipfile.ZipFile(folder / INDEX) as archive:
        if sum(info.file_size for info in archive.infolist()) > (folder / INDEX).stat().st_size:
            raise ValueError("compressed, which no packed set is")
    with np.load(folder / INDEX, allow_pickle=False) as content:
        sums = ["checksums"] if "checksums" in content else []  # earlier versions wrote none
        arrays = {name: content[name] for name in ("header", "sizes", *sums, *ARRAYS)}
    header, sizes = parse_json(arrays["header"].tobytes()), arrays["sizes"]
    frames = sum(len(entry["modalities"]) * entry["frames"] for entry in header["sequences"])
    if header["version"] != VERSION or sizes.shape != (frames,) or sizes.dtype != np.int64:
        raise ValueError("of another version, or with other frames than its sequences have")
    if "checksums" in arrays and (arrays["checksums"].shape != (frames,) or arrays["checksums"].dtype != np.uint32):
        raise ValueError("with other checksums than its sequences have frames")
    return header["sequences"], arrays


def _unpack(images: Path, described: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> Iterator[Sequence]:
    image, rows = 0, dict.fromkeys(ARRAYS, 0)
    for entry in described:
        check_name(entry["name"], f"{images.parent}: sequence")
        streams, length = len(entry["modalities"]), entry["frames"]
        own = slice(image, image + streams * length)
        sizes = arrays["sizes"][own].reshape(streams, length)
        sums = arrays["checksums"][own].reshape(streams, length) if "checksums" in arrays else None
        known: dict[str, Any] = {}
        for name, count in entry["rows"].items():
            known[name] = arrays[name][rows[name] : rows[name] + count]
            rows[name] += count
        image += streams * length
        if not set(entry["modalities"]) <= {VISIBLE, INFRARED}:
            raise ValueError("of other streams")
        if entry["size"] is not None:
            known["size"] = tuple(entry["size"])
        if "objects" in known:
            known["objects"] = AnnotatedObjects(known["objects"], *entry["company"])
        frames = StoredFrames(images, entry["name"], range(length), tuple(entry["modalities"]), sizes, sums)
        texts = {name: entry[name] for name in ("name", "attributes", "category", "video")}
        yield Sequence(frames=frames, **texts, **known)


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
