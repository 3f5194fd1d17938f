"""Finding what is wrong with a data set on disk before a long run does."""

import functools
import logging
import os
from collections.abc import Iterator
from collections.abc import Sequence as Many
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from tqdm import tqdm

from ..core.errors import InputError
from ..core.measure.machine import usable_cores
from . import depth, orientation
from .collection import collect_problems
from .damage import decoder_words, find_damage
from .readings import other_reading
from .sequence import FileFrames, Sequence
from .still_images import StillImages
from .store import verify_store
from .streams import doubt_streams

#: kind of problem -> its row in the report
KINDS = {
    "store": "files of packed images or crops that are damaged",
    "sequence": "sequences missing or not readable",
    "count": "counts that differ, or numbers of frames (streams, annotation, set)",
    "missing": "images missing",
    "image": "images that are damaged or cannot be decoded",
    "size": "frames whose streams differ in size",
    "mask": "masks that cannot be read, or differ from their image in size",
    "streams": "sequences whose streams are hardly visible and infrared",
    "outside": "boxes wholly outside the image",
    "reading": "annotations that are hardly x y w h in pixels",
    "empty": "sequences without a box that has an area",
}
DEEP, TURNED = "streams of more than 8 bits", "streams that are turned by their orientation tag"


class Problem(NamedTuple):
    """One thing that is wrong."""

    kind: str  # a key of KINDS
    line: str  # where and what


class Findings(NamedTuple):
    """What was checked, and what is wrong with it."""

    sequences: int
    frames: int
    decoded: int  # images
    problems: list[Problem]
    notes: dict[str, list[str]]  # what is no problem, but was decided: title -> lines


def read_all(read: "functools.partial[Many[Sequence]]") -> tuple[Many[Sequence], list[Problem]]:
    """The sequences that a reader can read, and its messages about the others."""
    with _collected_warnings(__package__) as differing:
        try:
            with collect_problems() as unreadable:
                sequences = read()
        except InputError as error:
            if not unreadable:
                raise
            sequences, unreadable = [], [*unreadable, str(error)]
    kinds = {"sequence": unreadable, "count": differing}
    return sequences, [Problem(kind, line) for kind, lines in kinds.items() for line in lines]


def check_stores(stores: Many[Path]) -> list[Problem]:
    """What is wrong with the structure of these LMDB files. A damaged one ends a process that reads it."""
    problems = []
    for store in stores:
        try:
            verify_store(store)
        except InputError as error:
            problems.append(Problem("store", str(error)))
    return problems


def check_sequences(sequences: Many[Sequence], images: int | None) -> Findings:
    """Check the files, boxes and images of every sequence.

    images: how many frames of each sequence are decoded, evenly spread, at least the first; None: all. Boxes are
    checked against the size of the first frame.
    """
    frames, decoded = 0, 0
    problems: list[Problem] = []
    with (
        ThreadPoolExecutor(usable_cores()) as pool,
        _collected_warnings(depth.__name__) as deep,
        _collected_warnings(orientation.__name__) as turned,
        _screen() as screen,
    ):
        places = _places_to_check(sequences)
        for place in tqdm(places, desc="checking", unit="sequence", dynamic_ncols=True, file=screen):
            try:
                sequence = sequences[place]
            except InputError as error:  # in sets that make their sequences on access
                problems.append(Problem("sequence", str(error)))
                continue
            missing = list(_missing_images(sequence.frames))
            gone = {problem.line.partition(": ")[0] for problem in missing}
            size, seen, broken = _check_images(sequence, images, gone, pool)
            problems += [*missing, *broken, *_check_streams(sequence), *_check_boxes(sequence, size)]
            problems += _check_masks(sequence, size)
            frames, decoded = frames + len(sequence), decoded + seen
    return Findings(len(sequences), frames, decoded, problems, {DEEP: deep, TURNED: turned})


def _places_to_check(sequences: Many[Sequence]) -> Many[int]:
    """Indices of the sequences to check: of the objects of one still image only the first, since all share the file."""
    if not isinstance(sequences, StillImages):
        return range(len(sequences))
    return np.unique(sequences.images, return_index=True)[1].tolist()


def _missing_images(frames: object) -> Iterator[Problem]:
    if isinstance(frames, FileFrames):
        for paths in frames.paths:
            for path in paths:
                if path.name not in _names(path.parent):
                    yield Problem("missing", f"{path}: image does not exist")


@functools.lru_cache(maxsize=4)
def _names(folder: Path) -> frozenset[str]:
    return frozenset(os.listdir(folder)) if folder.is_dir() else frozenset()


def _check_images(
    sequence: Sequence, images: int | None, gone: set[str], pool: ThreadPoolExecutor
) -> tuple[tuple[int, int] | None, int, list[Problem]]:
    """Size (width, height) of the first frame, the number of decoded images, and their problems."""
    length = len(sequence)
    count = length if images is None else min(length, max(1, images))
    picked = np.unique(np.linspace(0, length - 1, count).round().astype(int)).tolist() if length else []
    sizes: list[tuple[int, int]] = []
    problems: list[Problem] = []
    decoded = 0
    decode = functools.partial(_decode, sequence, gone)
    with decoder_words() as words:
        results = list(pool.map(decode, picked))
        if words() and isinstance(sequence.frames, FileFrames):
            problems += _heard_damage(sequence.frames, gone, picked)
    for index, (found, failed) in zip(picked, results, strict=True):
        sizes += found[:1]
        decoded += len(found)
        problems += [Problem("image", line) for line in failed]
        if len(set(found)) > 1:
            shown = " and ".join(f"{width}x{height}" for width, height in found)
            problems.append(Problem("size", f"{sequence.name}: frame {index + 1}: streams are {shown}"))
    return (sizes[0] if sizes else sequence.size), decoded, problems


def _decode(sequence: Sequence, gone: set[str], index: int) -> tuple[list[tuple[int, int]], list[str]]:
    """Size (width, height) of each stream of a frame, and a message for each image that cannot be decoded."""
    frames = sequence.frames
    if not isinstance(frames, FileFrames):
        return [image.shape[1::-1] for image in frames[index]], []
    sizes, failed = [], []
    for stream, paths in enumerate(frames.paths):
        if str(paths[index]) in gone:
            continue
        try:
            height, width = frames.read(stream, index).shape[:2]
            sizes.append((width, height))
            if damage := find_damage(paths[index].read_bytes()):
                failed.append(f"{paths[index]}: image is damaged ({damage}); replace it")
        except InputError as error:
            failed.append(str(error))
    return sizes, failed


def _heard_damage(frames: FileFrames, gone: set[str], picked: list[int]) -> Iterator[Problem]:
    """Images of a sequence about which the decoder complains on standard error, one by one."""
    for stream, paths in enumerate(frames.paths):
        for index in picked:
            if str(paths[index]) in gone or find_damage(paths[index].read_bytes()):
                continue
            with decoder_words() as words, suppress(InputError):
                frames.read(stream, index)
                if words():
                    yield Problem("image", f"{paths[index]}: image is damaged ({words()}); replace it")


def _check_streams(sequence: Sequence) -> Iterator[Problem]:
    if len(sequence.frames.modalities) > 1 and len(sequence):
        with suppress(InputError):  # has been found
            doubt = doubt_streams(*sequence.frames.reduced(0, 2))
            if doubt:
                yield Problem("streams", f"{sequence.name}: {doubt}")


def _check_masks(sequence: Sequence, size: tuple[int, int] | None) -> Iterator[Problem]:
    """The first and the last mask, where there are masks."""
    if sequence.masks is None:
        return
    for frame in sorted({0, len(sequence) - 1}):
        try:
            found = sequence.masks[frame].shape[1::-1]
            if size is not None and found != size:
                shown = f"mask is {found[0]}x{found[1]}, image {size[0]}x{size[1]}"
                yield Problem("mask", f"{sequence.name}: frame {frame + 1}: {shown}")
        except InputError as error:
            yield Problem("mask", str(error))


def _check_boxes(sequence: Sequence, size: tuple[int, int] | None) -> Iterator[Problem]:
    if not sequence.valid.any():
        yield Problem("empty", f"{sequence.name}: no box of {len(sequence.boxes)} has an area")
        return
    if size is None:
        return
    for stream, boxes in (("", sequence.boxes), ("infrared ", sequence.boxes_infrared)):
        if boxes is None:
            continue
        if other := other_reading(boxes, size):
            where = f"{sequence.name}: {stream}boxes stick out of its {size[0]}x{size[1]} image"
            yield Problem("reading", f"{where} and look like {other.words}; write x y w h in pixels")
        has_area = (boxes[:, 2:] > 0).all(1)
        outside = ((boxes[:, :2] >= size) | (boxes[:, :2] + boxes[:, 2:] <= 0)).any(1)
        for row in np.flatnonzero(has_area & outside).tolist():
            shown = ",".join(f"{value:g}" for value in boxes[row])
            where = f"{sequence.name}: row {row + 1}: {stream}box {shown}"
            yield Problem("outside", f"{where} lies outside its {size[0]}x{size[1]} image")


class _WarningCollector(logging.Handler):
    """Collects the warnings of readers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def _screen() -> Iterator[TextIO]:
    """Standard error as it is now, while `decoder_words` catches what is written there."""
    with os.fdopen(os.dup(2), "w") as screen:
        yield screen


@contextmanager
def _collected_warnings(name: str) -> Iterator[list[str]]:
    """A list that receives the warnings of a logger, which are not shown: a thousand would bury the table."""
    collector, log = _WarningCollector(), logging.getLogger(name)
    log.addHandler(collector)
    propagate, log.propagate = log.propagate, False
    try:
        yield collector.lines
    finally:
        log.removeHandler(collector)
        log.propagate = propagate
