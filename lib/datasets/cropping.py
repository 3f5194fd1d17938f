"""Cutting a data set to crops of 511 pixels around each target, once, for trainings that read only these crops
(layout: `lib.datasets.readers.cropped`). Nothing is random: the same set gives the same files."""

import json
import logging
import os
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Many
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from ..core.atomic import write_atomically
from ..core.errors import InputError
from ..core.paths import typed_command
from ..core.process import end_with_parent
from ..core.view import context_side, mean_colour
from ..core.warp import warp_region
from .readers.cropped import BOXES, CATEGORIES, IMAGES, SIDE, TEMPLATE
from .readers.youtubebb import Clips
from .sequence import Collection, Sequence
from .usable import usable_rows

log = logging.getLogger(__name__)

QUALITY = 95  # of JPEG
LEAST_VISIBLE = 0.25  # unoccluded share of the target, where known
_QUEUED = 8  # videos per process that wait to be cut


class TargetFrame(NamedTuple):
    """One target in one frame."""

    sequence: Sequence
    track: str
    row: int  # of the sequence's annotation
    number: int  # of the frame in the video


class Cut(NamedTuple):
    """The crops of one video: boxes by track and frame, categories by track, a message for each unreadable frame."""

    video: str
    boxes: dict[str, dict[str, list[float]]]
    categories: dict[str, str]
    unreadable: list[str]


def cut_set(sequences: Many[Sequence], folder: Path, *, workers: int) -> list[str]:
    """Write the crops of all usable frames, then their boxes and categories as two JSON files.

    Existing crops are kept, so an interrupted run continues. workers: number of processes, 0 for none. Unreadable
    frames are left out; returns a line for each of them. Raises InputError when nothing can be read.
    """
    videos = group_by_video(sequences)
    cut = partial(_cut_video, folder=folder / IMAGES)
    made = (_number(sequences, video, places) for video, places in videos.items())
    with tqdm(total=len(videos), desc=str(folder), unit="video", dynamic_ncols=True) as bar:
        cuts = []
        for result in _run(cut, made, workers):
            cuts.append(result)
            bar.update()
    if not any(result.boxes for result in cuts):
        remedy = f"check the data set with {typed_command('check', 'check_dataset')}"
        raise InputError(f"{folder}: not one usable frame; {remedy}")
    _write_json(folder / CATEGORIES, {result.video: result.categories for result in cuts if any(result.categories)})
    _write_json(folder / BOXES, {result.video: result.boxes for result in cuts if result.boxes})
    return [line for result in cuts for line in result.unreadable]


def group_by_video(sequences: Many[Sequence]) -> dict[str, list[int]]:
    """Indices of the sequences by the video or image that they are part of."""
    videos: dict[str, list[int]] = {}
    for place, sequence in enumerate(sequences):
        videos.setdefault(sequence.video or sequence.name, []).append(place)
    return videos


def _number(sequences: Many[Sequence], video: str, places: Iterable[int]) -> tuple[str, list[TargetFrame]]:
    """The usable frames of a video, with frame numbers that all of its tracks share."""
    still = isinstance(sequences, Collection) and sequences.still
    frames = []
    for track, place in enumerate(places):
        sequence = sequences[place]
        rows = usable_rows(sequence, LEAST_VISIBLE)[: 1 if still else None].tolist()
        for row in rows:
            if isinstance(sequences, Clips):
                number = int(sequences.times[sequences.tracks[place].first + row])
            else:
                number = sequence.frame_of(row) + (0 if sequence.objects is None else sequence.objects.first)
            frames.append(TargetFrame(sequence, f"{track:02d}", row, number))
    return str(Path(video).with_suffix("")) if still else video, sorted(frames, key=lambda frame: frame.number)


def _run(cut: partial, videos: Iterator[tuple[str, list[TargetFrame]]], workers: int) -> Iterator[Cut]:
    if not workers:
        yield from map(cut, videos)
        return
    with ProcessPoolExecutor(workers, initializer=end_with_parent, initargs=(os.getpid(),)) as pool:
        waiting: list = []
        for video in videos:
            waiting.append(pool.submit(cut, video))
            if len(waiting) >= _QUEUED * workers:  # bounds how many videos are held in memory
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _cut_video(video: tuple[str, list[TargetFrame]], folder: Path) -> Cut:
    name, frames = video
    result = Cut(name, {}, {}, [])
    last: tuple[int, np.ndarray | None] = (-1, None)
    for frame in frames:
        path = folder / name / f"{frame.number:06d}.{frame.track}.x.jpg"
        box = frame.sequence.boxes[frame.row]
        if not path.exists():
            try:
                if last[0] != frame.number:
                    last = frame.number, frame.sequence.frames[frame.sequence.frame_of(frame.row)][0]
            except InputError as error:
                result.unreadable.append(str(error))
                continue
            if last[1] is not None:
                _write_image(path, cut_target(last[1], box))
        corners = [round(float(value), 2) for value in (*box[:2], *(box[:2] + box[2:]))]
        result.boxes.setdefault(frame.track, {})[f"{frame.number:06d}"] = corners
        if frame.sequence.category:
            result.categories[frame.track] = frame.sequence.category
    return result


def cut_target(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The crop around a target: [H, W, 3] uint8, [4] xywh pixels -> [511, 511, 3], the image's mean colour outside."""
    side = context_side(box) * SIDE / TEMPLATE
    region = np.concatenate([box[:2] + box[2:] / 2 - side / 2, [side, side]])
    return warp_region(image, region, SIDE, mean_colour(image))


def _write_image(path: Path, image: np.ndarray) -> None:
    coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    with write_atomically(path) as temporary:
        temporary.write_bytes(coded.tobytes())


def _write_json(path: Path, content: dict) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
