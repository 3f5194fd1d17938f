"""YouTube-BoundingBoxes (Real et al., CVPR 2017): 240,000 clips of 23 categories, visible, one box per second.

yt_bb_detection_train.csv     youtube_id, timestamp_ms, class_id, class_name, object_id, presence, xmin xmax ymin ymax
<frames>                      the labelled ones only, where the usual download scripts put them: see `PATTERNS`

Box corners are fractions of the frame; its size is read from the first frame. Every labelled track is a sequence of its
labelled frames, 0,0,0,0 where the target is absent.
"""

import csv
import itertools
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...core.errors import InputError
from ..damage import stated_size
from ..image import read_image
from ..layout import first_existing
from ..orientation import TRANSPOSED, hide_orientation
from ..sequence import VISIBLE, AnnotatedObjects, Collection, FileFrames, Sequence

TABLES = ("yt_bb_detection_train.csv", "youtube_boundingboxes_detection_train.csv")
FIELDS = 10
HEADER = 1 << 16  # bytes of an image that its size is looked for in
#: {video} YouTube's name, {time} ms, {kind} number of the category, {target} number of the object
PATTERNS = (
    "train/{kind}/{video}_{time}_{kind}_{target}.jpg",
    "train/{video}/{time}.jpg",
    "JPEGImages/{video}+{kind}+{target}+{time}.jpg",
    "{video}/{time}.jpg",
)


class Track(NamedTuple):
    """One object of one video: the `rows` rows of the table from `first` on."""

    video: str
    kind: str
    category: str
    target: str
    first: int
    rows: int


@dataclass(frozen=True, eq=False)
class Clips(Collection):
    """Tracks, with the rows of all tracks concatenated."""

    folder: Path
    pattern: str
    tracks: list[Track]
    times: np.ndarray  # [N] ms
    corners: np.ndarray  # [N, 4] xmin, xmax, ymin, ymax as fractions of the frame; 0 where absent
    siblings: dict[str, list[int]]  # video -> its tracks

    def __len__(self) -> int:
        return len(self.tracks)

    @property
    def categories(self) -> list[str]:
        return [track.category for track in self.tracks]

    def make(self, index: int) -> Sequence:
        """Raises InputError when the first frame is missing or damaged."""
        track = self.tracks[index]
        times = self._times(track).tolist()
        named = {"video": track.video, "kind": track.kind, "target": track.target}
        paths = tuple(self.folder / self.pattern.format(time=time, **named) for time in times)
        size = image_size(paths[0])
        return Sequence(
            f"{track.video}_{track.kind}_{track.target}",
            FileFrames((paths,), (VISIBLE,)),
            self._boxes(track, size),
            size=size,
            category=track.category,
            video=track.video,
            objects=AnnotatedObjects(self._objects(index, times, size), index),
        )

    def _times(self, track: Track) -> np.ndarray:
        return self.times[track.first : track.first + track.rows]

    def _boxes(self, track: Track, size: tuple[int, int]) -> np.ndarray:
        left, right, top, bottom = self.corners[track.first : track.first + track.rows].T
        return np.stack([left, top, right - left, bottom - top], axis=1) * (*size, *size)

    def _objects(self, index: int, times: list[int], size: tuple[int, int]) -> np.ndarray:
        """[K, 6] all objects annotated at the times of a track, itself included."""
        found = [np.zeros((0, 6))]
        for other in self.siblings[self.tracks[index].video]:
            track = self.tracks[other]
            boxes, moments = self._boxes(track, size), self._times(track)
            rows = [k for k in range(track.rows) if boxes[k, 2] > 0 and moments[k] in times]
            frames = [times.index(moments[k]) for k in rows]
            found.append(np.column_stack([frames, [other] * len(rows), boxes[rows]]).reshape(-1, 6))
        return np.concatenate(found)


def read_training(folder: str | Path) -> Clips:
    """The labelled tracks of the training part with two boxes or more (YOUTUBEBB). Raises InputError for a missing or
    malformed table, and when the first frame of the first track is at none of the places in PATTERNS."""
    root = Path(folder)
    table = first_existing(root, TABLES)
    if table is None:
        raise InputError(f"{root}: no {TABLES[0]} here; set youtubebb_dir in local.py")
    tracks: list[Track] = []
    times, corners = array("q"), array("d")  # millions of rows
    siblings: dict[str, list[int]] = {}
    for (video, kind, target), group in itertools.groupby(_read_rows(table), lambda row: (row[0], row[2], row[4])):
        rows = list(group)
        if sum(row[5] == "present" for row in rows) < 2:
            continue
        siblings.setdefault(video, []).append(len(tracks))
        tracks.append(Track(video, kind, rows[0][3], target, len(times), len(rows)))
        times.extend(int(row[1]) for row in rows)
        for row in rows:
            corners.extend(float(value) if row[5] == "present" else 0.0 for value in row[6:])
    if not tracks:
        raise InputError(f"{table}: no track with two boxes; download it again")
    pattern = _find_pattern(root, tracks[0], times[0])
    return Clips(root, pattern, tracks, np.array(times), np.array(corners).reshape(-1, 4), siblings)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of a JPEG file from its header alone. Raises InputError for a missing or damaged file."""
    with suppress(OSError), path.open("rb") as file:  # read_image raises the right message
        head = file.read(HEADER)
        if size := stated_size(head):
            return size[::-1] if hide_orientation(np.frombuffer(head, np.uint8))[1] in TRANSPOSED else size
    height, width = read_image(path).shape[:2]
    return width, height


def _read_rows(table: Path) -> Iterator[list[str]]:
    with table.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = enumerate(csv.reader(file), 1)
        while True:
            try:
                number, row = next(rows, (0, []))
            except csv.Error as error:
                raise InputError(f"{table}: is not a table ({error}); download it again") from None
            if not number:
                return
            try:
                _, _ = int(row[1]), [float(value) for value in row[6:]]
                if len(row) != FIELDS:
                    raise ValueError(row)
            except (ValueError, IndexError):
                if number == 1:
                    continue  # some copies have a header
                raise InputError(f"{table}: line {number} is not a row of {FIELDS} fields; download it again") from None
            yield row


def _find_pattern(root: Path, track: Track, time: int) -> str:
    named = {"video": track.video, "kind": track.kind, "target": track.target, "time": time}
    for pattern in PATTERNS:
        if (root / pattern.format(**named)).is_file():
            return pattern
    tried = ", ".join(pattern.format(**named) for pattern in PATTERNS)
    raise InputError(f"{root}: the first frame is at none of {tried}; put the frames at one of these places")
