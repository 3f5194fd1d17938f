"""The boxes and categories beside a store of crops, while a set is cut (layout: `lib.datasets.readers.cropped`)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core.atomic import write_atomically
from .readers.cropped import BOXES, CATEGORIES, INFRARED_BOXES, track_name
from .sequence import Sequence
from .store import image_key

Table = dict[str, dict[str, dict[str, list[float]]]]  # video -> track -> frame -> x1, y1, x2, y2


class TargetFrame(NamedTuple):
    """One target in one frame."""

    sequence: Sequence
    video: str
    track: str
    row: int  # of the sequence's annotation
    number: int  # of the frame in the video

    @property
    def boxes(self) -> list[np.ndarray]:
        """The box in each stream, [4] xywh pixels; both the same where there is one annotation."""
        own = (self.sequence.boxes, self.sequence.boxes_infrared)[: len(self.sequence.frames.modalities)]
        return [self.sequence.boxes[self.row] if boxes is None else boxes[self.row] for boxes in own]

    @property
    def keys(self) -> list[str]:
        """The key of the crop of each stream."""
        name = track_name(self.video, self.track)
        return [image_key(name, stream, self.number) for stream in self.sequence.frames.modalities]


class CropTables:
    """Boxes by video, track and frame, and categories by video and track."""

    def __init__(self, streams: tuple[str, ...]):
        """streams: of all sequences."""
        self.streams = streams
        self.frames = 0
        self._boxes: dict[str, Table] = {BOXES: {}, INFRARED_BOXES: {}}
        self._categories: dict[str, dict[str, str]] = {}

    def add(self, frame: TargetFrame) -> None:
        """Enter a frame of a target."""
        self.frames += 1
        names = [BOXES] if frame.sequence.boxes_infrared is None else [BOXES, INFRARED_BOXES]
        for name, box in zip(names, frame.boxes, strict=False):
            tracks = self._boxes[name].setdefault(frame.video, {})
            tracks.setdefault(frame.track, {})[f"{frame.number:06d}"] = _corners(box)
        if frame.sequence.category:
            self._categories.setdefault(frame.video, {})[frame.track] = frame.sequence.category

    def remove(self, frame: TargetFrame) -> None:
        """Take a frame out again."""
        self.frames -= 1
        for table in self._boxes.values():
            if frame.video in table:
                del table[frame.video][frame.track][f"{frame.number:06d}"]

    def write(self, folder: Path) -> None:
        """Write the files, those with the boxes of the infrared stream where it has its own."""
        boxes = {name: dict(_without_empty(table)) for name, table in self._boxes.items()}
        categories = {
            video: {track: kind for track, kind in kinds.items() if track in boxes[BOXES][video]}
            for video, kinds in self._categories.items()
            if video in boxes[BOXES]
        }
        _write_json(folder / CATEGORIES, categories)
        if boxes[INFRARED_BOXES]:
            _write_json(folder / INFRARED_BOXES, boxes[INFRARED_BOXES])
        else:
            (folder / INFRARED_BOXES).unlink(missing_ok=True)
        _write_json(folder / BOXES, boxes[BOXES])


def _without_empty(table: Table) -> Iterator[tuple[str, dict[str, dict[str, list[float]]]]]:
    for video, tracks in table.items():
        left = {track: frames for track, frames in tracks.items() if frames}
        if left:
            yield video, left


def _corners(box: np.ndarray) -> list[float]:
    return [round(float(value), 2) for value in (*box[:2], *(box[:2] + box[2:]))]


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
