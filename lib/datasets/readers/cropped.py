"""Sets cut to crops of 511 pixels around each target, as SiamRPN does (`tracking/prepare_crops.py` makes them).

<set>/crop511.lmdb          JPEG files by <video>_<track>/<v|i>/<frame:06d> (`lib.datasets.store`)
<set>/train.json            {video: {track: {frame: [x1, y1, x2, y2] or [w, h]}}}, in the frame
<set>/infrared.json         the same of the infrared stream, where it has its own boxes
<set>/categories.json       {video: {track: name}}, optional

Crops that pysot made are single files in the place of the store: crop511/<video>/<frame>.<track>.x.jpg, 000000.00.x.jpg

A target is centred in its crop, at the scale at which its template region is 127 pixels wide.
"""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...core.bounded import parse_json
from ...core.errors import InputError
from ...core.paths import typed_command
from ...core.view import CONTEXT, EXEMPLAR, INTERMEDIATE, context_side
from ..annotation import read_lines
from ..layout import ImageList
from ..sequence import INFRARED, VISIBLE, AnnotatedObjects, Collection, FileFrames, Frames, Sequence
from ..store import UNFINISHED, StoredFrames, read_about
from .lasher import HELD_IN, HELD_OUT, SPLITS

SIDE, TEMPLATE = INTERMEDIATE, EXEMPLAR  # pixels of a crop, and of the target with its context in it
GEOMETRY = {"side": SIDE, "template": TEMPLATE, "context": CONTEXT}  # as a store says it
STORE, IMAGES = "crop511.lmdb", "crop511"
BOXES, INFRARED_BOXES, CATEGORIES = "train.json", "infrared.json", "categories.json"
STILLS = ("coco", "det")


class Track(NamedTuple):
    """One target. Its boxes are the `rows` rows from `first` on."""

    video: str
    name: str  # 00, 01, …
    first: int
    rows: int


class Annotation(NamedTuple):
    """A file of boxes, with the rows of all tracks concatenated; those of one video are adjacent."""

    tracks: list[Track]
    frames: np.ndarray  # [N] number of the frame in its video
    boxes: np.ndarray  # [N, 4] xywh in the frame; x and y are NaN where only the size is known
    videos: dict[str, slice]  # rows of each video


class Images(NamedTuple):
    """Where the crops of a set are."""

    place: Path  # a store, or a folder of files
    streams: tuple[str, ...]
    stored: bool

    def frames(self, track: Track, numbers: list[int]) -> Frames:
        """The crops of a track."""
        if self.stored:
            return StoredFrames(self.place, track_name(track.video, track.name), numbers, self.streams)
        names = tuple(f"{frame:06d}.{track.name}.x.jpg" for frame in numbers)
        return FileFrames((ImageList(self.place / track.video, names),), self.streams)


@dataclass(frozen=True, eq=False)
class CroppedTracks(Collection):
    """Tracks of targets, made from an annotation."""

    images: Images
    annotation: Annotation
    infrared: np.ndarray | None  # [N, 4] as the annotation's, where the infrared stream has its own boxes
    owners: np.ndarray  # [N] track of each row
    kinds: list[str]  # category of each track
    still: bool = False

    def __len__(self) -> int:
        return len(self.annotation.tracks)

    @property
    def categories(self) -> list[str]:
        return self.kinds

    def make(self, index: int) -> Sequence:
        track = self.annotation.tracks[index]
        own = slice(track.first, track.first + track.rows)
        boxes, scales = self.annotation.boxes[own], _scales(self.annotation.boxes[own])
        infrared = None if self.infrared is None else self.infrared[own]
        return Sequence(
            track_name(track.video, track.name),
            self.images.frames(track, self.annotation.frames[own].tolist()),
            place_in_crop(boxes, boxes, scales),
            None if infrared is None else place_in_crop(infrared, infrared, _scales(infrared)),
            size=(SIDE, SIDE),
            category=self.kinds[index],
            video=track.video,
            objects=AnnotatedObjects(self._objects(track, boxes, scales), index),
        )

    def _objects(self, track: Track, boxes: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """[K, 6] the other objects in the crops of a track, where their position is known."""
        together = self.annotation.videos[track.video]
        numbers, others, owners = self.annotation.frames, self.annotation.boxes[together], self.owners[together]
        first, frames = track.first - together.start, numbers[together]
        foreign = np.ones(len(frames), bool)
        foreign[first : first + track.rows] = False
        found = [np.zeros((0, 6))]
        for row, (frame, box, scale) in enumerate(zip(numbers[track.first :], boxes, scales, strict=False)):
            here = foreign & (frames == frame)
            if here.any() and np.isfinite(box).all():
                placed = place_in_crop(others[here], box[None], np.array([scale]))
                rows = np.column_stack([np.full(len(placed), row), owners[here], placed])
                found.append(rows[((placed[:, :2] < SIDE) & (placed[:, :2] + placed[:, 2:] > 0)).all(1)])
        return np.concatenate(found)


def track_name(video: str, track: str) -> str:
    """The name of a track's sequence, also in the keys of its crops."""
    return f"{video}_{track}"


def _scales(boxes: np.ndarray) -> np.ndarray:
    """[K] crop pixels per pixel of the frame, from [K, 4] boxes in the frame."""
    return np.array([TEMPLATE / context_side(box) for box in boxes])


def place_in_crop(boxes: np.ndarray, around: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Boxes in crops around the boxes `around`: [K, 4], [K or 1, 4] xywh in the frame, [K or 1] -> [K, 4] xywh pixels.

    A box of which only the size is known is placed at the centre of the crop.
    """
    offset = (boxes[:, :2] + boxes[:, 2:] / 2 - around[:, :2] - around[:, 2:] / 2) * scales[:, None]
    extent = boxes[:, 2:] * scales[:, None]
    return np.concatenate([SIDE / 2 + np.nan_to_num(offset) - extent / 2, extent], axis=1)


def read_cropped(folder: str | Path, name: str, part: str = "") -> CroppedTracks:
    """The crops of one set in `<folder>/<name>`. part: a list of `splits`, to read only its videos.

    Raises InputError for what is missing or malformed.
    """
    root = Path(folder) / name
    images, videos = _find_images(root), set(read_lines(SPLITS / part)) if part else None
    annotation, categories, infrared = _read_boxes(root / BOXES, videos), {}, None
    if (root / CATEGORIES).is_file():
        categories = _read_json(root / CATEGORIES)
    if len(images.streams) > 1 and (root / INFRARED_BOXES).is_file():
        other = _read_boxes(root / INFRARED_BOXES, videos)
        if other.tracks != annotation.tracks or not np.array_equal(other.frames, annotation.frames):
            raise InputError(f"{root / INFRARED_BOXES}: has other frames than {BOXES}; cut the set anew")
        infrared = other.boxes
    tracks = annotation.tracks
    try:
        kinds = [str(categories.get(track.video, {}).get(track.name, "")) for track in tracks]
    except AttributeError as error:
        raise InputError(f"{root / CATEGORIES}: not {{video: {{track: name}}}}: {error}; make it again") from None
    owners = np.repeat(np.arange(len(tracks)), [track.rows for track in tracks])
    return CroppedTracks(images, annotation, infrared, owners, kinds, name in STILLS)


def _find_images(root: Path) -> Images:
    store, files = root / STORE, root / IMAGES
    if (root / BOXES).is_file() and store.is_file():
        about = read_about(place := Path(os.path.realpath(store)))  # a process may open it under one name only
        if about.get("geometry") != GEOMETRY or not set(about.get("streams", [])) <= {VISIBLE, INFRARED}:
            raise InputError(f"{store}: holds no crops of {SIDE} pixels as they are cut here; cut the set anew")
        return Images(place, tuple(about["streams"]), True)
    if (root / BOXES).is_file() and files.is_dir():
        return Images(files, (VISIBLE,), False)
    if store.with_name(store.name + UNFINISHED).is_file():
        raise InputError(f"{root}: is not complete; continue with {typed_command('crops', 'prepare_crops')}")
    raise InputError(f"{root}: no {BOXES} with {STORE} or {IMAGES}/ here; set crop511_dir in local.py")


def _read_boxes(path: Path, chosen: set[str] | None) -> Annotation:
    """chosen: videos; None for all."""
    tracks: list[Track] = []
    frames: list[int] = []
    boxes: list[list[float]] = []
    videos = {}
    try:
        for video, named in _read_json(path).items():
            if chosen is not None and video not in chosen:
                continue
            start = len(frames)
            for track, rows in named.items():
                tracks.append(Track(video, track, len(frames), len(rows)))
                frames += [int(frame) for frame in rows]
                boxes += [_to_xywh(corners) for corners in rows.values()]
            videos[video] = slice(start, len(frames))
        numbers, places = np.array(boxes, np.float64).reshape(-1, 4), np.array(frames, np.int64)
        if not (numbers[:, 2:] >= 0).all() or not np.isfinite(numbers[:, 2:]).all() or not numbers[:, 2:].any(1).all():
            raise ValueError("a box without width and height")
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: not {{video: {{track: {{frame: box}}}}}}: {error}; make it again") from None
    return Annotation(tracks, places, numbers, videos)


def _to_xywh(corners: list[float]) -> list[float]:
    if len(corners) == 2:
        return [np.nan, np.nan, *corners]
    left, top, right, bottom = corners
    return [left, top, right - left, bottom - top]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}; make it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}, expected {{video: …}}; make it again")
    return content


read_vid = partial(read_cropped, name="vid")
read_youtubebb = partial(read_cropped, name="yt_bb")
read_det = partial(read_cropped, name="det")
read_coco = partial(read_cropped, name="coco")
read_got10k = partial(read_cropped, name="got10k")
read_lasot = partial(read_cropped, name="lasot")
read_got10k_val = partial(read_cropped, name="got10k_val")
read_gtot = partial(read_cropped, name="gtot")
read_rgbt234 = partial(read_cropped, name="rgbt234")
read_lasher = partial(read_cropped, name="lasher")
read_lasher_held_in = partial(read_cropped, name="lasher", part=HELD_IN)
read_lasher_held_out = partial(read_cropped, name="lasher", part=HELD_OUT)
read_lasher_unaligned = partial(read_cropped, name="lasher_unaligned")
read_vtuav_short_term = partial(read_cropped, name="vtuav_st")
read_vtuav_long_term = partial(read_cropped, name="vtuav_lt")
