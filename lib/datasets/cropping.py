"""Cutting a data set to crops of 511 pixels around each target, once, for trainings that read only these crops
(layout: `lib.datasets.readers.cropped`). Nothing is random: the same set gives the same crops.

A crop shows the square that tracking after SiamFC looks at, around the middle of the box, each stream around its own
box. Public code places the corners of this square at the middles of the crop's first and last pixels, so that its crops
are 510 / 511 of the size that its boxes say. Here both are at the same scale.
"""

import os
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Many
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from ..core.errors import InputError
from ..core.lock import hold
from ..core.paths import typed_command
from ..core.process import end_with_parent
from ..core.view import context_side, mean_colour
from ..core.warp import warp_region
from .crop_tables import CropTables, TargetFrame
from .damage import find_damage
from .readers.cropped import GEOMETRY, IMAGES, SIDE, STORE, TEMPLATE
from .readers.youtubebb import Clips
from .sequence import Collection, FileFrames, Sequence
from .store_writer import StoreWriter, fill_store
from .usable import LEAST_INSIDE, LEAST_SIDE, inside_share, usable_rows

QUALITY = 95  # of JPEG
LEAST_VISIBLE = 0.25  # unoccluded share of the target, where known
_TOGETHER = 32  # target frames that one process cuts at once
_QUEUED = 4  # such parts per process that wait to be cut or written


class Rules(NamedTuple):
    """Which frames of a set are cut."""

    step: int = 1  # every so many-th annotated frame of a video
    least_side: float = LEAST_SIDE  # pixels of a box, in each stream


class CutSet(NamedTuple):
    """What became of a set."""

    crops: int  # frames of targets; with two streams, pairs of crops
    unreadable: list[str]  # a line for each frame of a target that was left out because an image is missing or broken


def cut_set(sequences: Many[Sequence], folder: Path, *, workers: int, rules: Rules | None = None) -> CutSet:
    """Write the crops of all usable frames into a store, with their boxes and categories as JSON files beside it.

    Crops of an interrupted run are kept; the store gets its name last. workers: number of processes, 0 for none. Frames
    of which an image is missing or broken are left out. Raises InputError where the folder holds crops already, while
    another run writes it, and when nothing can be read.
    """
    rules = rules or Rules()
    streams = sequences[0].frames.modalities
    about = {"content": "crops", "geometry": GEOMETRY, "quality": QUALITY, "streams": streams, **rules._asdict()}
    with hold(folder.parent, "choose another --out", folder.name):
        _check_folder(folder)
        with fill_store(folder / STORE, about) as store:
            tables = CropTables(streams)
            unreadable: list[str] = []
            for frame, made in _run(_plan(sequences, tables, store, rules, str(folder)), workers):
                unreadable += [made] if isinstance(made, str) else []
                crops = [] if isinstance(made, str) else made
                for key, crop in zip(frame.keys[: len(crops)], crops, strict=True):
                    store.put(key, crop)
                if not crops:
                    tables.remove(frame)
            if not tables.frames:
                remedy = f"check the data set with {typed_command('check', 'check_dataset')}"
                raise InputError(f"{folder}: not one usable frame; {remedy}")
            tables.write(folder)
            store.complete(tables.frames * len(streams))
    return CutSet(tables.frames, unreadable)


def _check_folder(folder: Path) -> None:
    """Raise InputError where a folder holds crops already."""
    if (folder / STORE).exists():
        raise InputError(f"{folder}: is complete; remove it to cut the data set anew")
    if (folder / IMAGES).exists():
        what = f"holds crops as single files in {IMAGES}, which are read as they are"
        raise InputError(f"{folder}: {what}; remove it or choose another --out to cut the data set anew")


def group_by_video(sequences: Many[Sequence]) -> dict[str, list[int]]:
    """Indices of the sequences by the video or image that they are part of."""
    videos: dict[str, list[int]] = {}
    for place, sequence in enumerate(sequences):
        videos.setdefault(sequence.video or sequence.name, []).append(place)
    return videos


def _plan(
    sequences: Many[Sequence], tables: CropTables, store: StoreWriter, rules: Rules, name: str
) -> Iterator[list[TargetFrame]]:
    """The frames that are not in the store, in parts; all usable ones are entered in the tables. name: for the bar."""
    for video, places in tqdm(group_by_video(sequences).items(), desc=name, unit="video", dynamic_ncols=True):
        missing = []
        for frame in _number(sequences, video, places, rules):
            if frame.sequence.frames.modalities != tables.streams:
                raise InputError(f"{frame.sequence.name}: has not the streams of the others; remove it from the set")
            tables.add(frame)
            if any(store.size(key) is None for key in frame.keys):
                missing.append(frame)
        for first in range(0, len(missing), _TOGETHER):
            yield missing[first : first + _TOGETHER]


def _number(sequences: Many[Sequence], video: str, places: Iterable[int], rules: Rules) -> list[TargetFrame]:
    """The usable frames of a video, with frame numbers that all of its tracks share."""
    still = isinstance(sequences, Collection) and sequences.still
    video = str(Path(video).with_suffix("")) if still else video
    frames: list[TargetFrame] = []
    annotated: set[int] = set()
    for track, place in enumerate(places):
        sequence = sequences[place]
        if isinstance(sequences, Clips):
            first = sequences.tracks[place].first
            numbers = sequences.times[first : first + len(sequence.boxes)]
        else:
            numbers = np.arange(len(sequence.boxes)) if sequence.annotated is None else sequence.annotated
            numbers = numbers + (0 if sequence.objects is None else sequence.objects.first)
        annotated.update(numbers.tolist())
        rows = usable_rows(sequence, LEAST_VISIBLE, rules.least_side)[: 1 if still else None].tolist()
        frames += [TargetFrame(sequence, video, f"{track:02d}", row, int(numbers[row])) for row in rows]
    chosen = set(sorted(annotated)[:: rules.step])
    return sorted((frame for frame in frames if frame.number in chosen), key=lambda frame: frame.number)


Made = list[bytes] | str  # a crop for each stream; none where a box is mostly outside; or why there is none


def _run(parts: Iterable[list[TargetFrame]], workers: int) -> Iterator[tuple[TargetFrame, Made]]:
    if not workers:
        for part in parts:
            yield from zip(part, cut_frames(part), strict=True)
        return
    with ProcessPoolExecutor(workers, initializer=end_with_parent, initargs=(os.getpid(),)) as pool:
        waiting: list[tuple[list[TargetFrame], Future[list[Made]]]] = []
        for part in parts:
            waiting.append((part, pool.submit(cut_frames, part)))
            if len(waiting) >= _QUEUED * workers:  # bounds how many crops are held in memory
                frames, future = waiting.pop(0)
                yield from zip(frames, future.result(), strict=True)
        for frames, future in waiting:
            yield from zip(frames, future.result(), strict=True)


def cut_frames(frames: Many[TargetFrame]) -> list[Made]:
    """The crops of each frame as JPEG files, one for each stream; see `Made`."""
    made: list[Made] = []
    read: tuple[int, list[np.ndarray] | str] = (-1, [])  # number of the last frame and its images
    for frame in frames:
        if read[0] != frame.number:
            read = frame.number, _read(frame)
        images = read[1]
        made.append(images if isinstance(images, str) else _cut(frame, images))
    return made


def _read(frame: TargetFrame) -> list[np.ndarray] | str:
    frames, index = frame.sequence.frames, frame.sequence.frame_of(frame.row)
    try:
        images = frames[index]
        if isinstance(frames, FileFrames):
            for paths, content in zip(frames.paths, frames.content(index), strict=True):
                if damage := find_damage(content):
                    return f"{paths[index]}: image is damaged: {damage}"
    except InputError as error:
        return str(error)
    return images


def _cut(frame: TargetFrame, images: Many[np.ndarray]) -> list[bytes]:
    for image, box in zip(images, frame.boxes, strict=True):
        if inside_share(box[None], np.array([0, 0, *image.shape[1::-1]]))[0] < LEAST_INSIDE:
            return []
    return [_encode(cut_target(image, box)) for image, box in zip(images, frame.boxes, strict=True)]


def cut_target(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The crop around a target: [H, W, 3] uint8, [4] xywh pixels -> [511, 511, 3], the image's mean colour outside."""
    side = context_side(box) * SIDE / TEMPLATE
    region = np.concatenate([box[:2] + box[2:] / 2 - side / 2, [side, side]])
    return warp_region(image, region, SIDE, mean_colour(image))


def _encode(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[
        1
    ].tobytes()
