"""Sets cut to crops of 511 pixels around each target, as SiamRPN does (`tracking/prepare_crops.py` makes them).

<set>/crop511/<video>/<frame>.<track>.x.jpg     000000.00.x.jpg
<set>/train.json                                {video: {track: {frame: [x1, y1, x2, y2] or [w, h]}}}, in the frame
<set>/categories.json                           {video: {track: name}}, optional

A target is centred in its crop, at the scale at which its template region is 127 pixels wide.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...core.bounded import parse_json
from ...core.errors import InputError
from ...core.view import EXEMPLAR, INTERMEDIATE, context_side
from ..layout import ImageList
from ..sequence import VISIBLE, AnnotatedObjects, Collection, FileFrames, Sequence

SIDE, TEMPLATE = INTERMEDIATE, EXEMPLAR  # pixels of a crop, and of the target with its context in it
IMAGES, BOXES, CATEGORIES = "crop511", "train.json", "categories.json"
STILLS = ("coco", "det")


class Track(NamedTuple):
    """One target. Its boxes are the `rows` rows from `first` on."""

    video: str
    name: str  # 00, 01, …
    first: int
    rows: int


@dataclass(frozen=True, eq=False)
class CroppedTracks(Collection):
    """Tracks, with the rows of all tracks concatenated; those of one video are adjacent."""

    folder: Path
    tracks: list[Track]
    frames: np.ndarray  # [N] number of the frame in its video
    boxes: np.ndarray  # [N, 4] xywh in the frame; x and y are NaN where only the size is known
    owners: np.ndarray  # [N] track of each row
    kinds: list[str]  # category of each track
    videos: dict[str, slice]  # rows of each video
    still: bool = False

    def __len__(self) -> int:
        return len(self.tracks)

    @property
    def categories(self) -> list[str]:
        return self.kinds

    def make(self, index: int) -> Sequence:
        track = self.tracks[index]
        own = slice(track.first, track.first + track.rows)
        names = tuple(f"{frame:06d}.{track.name}.x.jpg" for frame in self.frames[own].tolist())
        boxes = self.boxes[own]
        scales = np.array([TEMPLATE / context_side(box) for box in boxes])
        placed = place_in_crop(boxes, boxes, scales)
        return Sequence(
            f"{track.video}_{track.name}",
            FileFrames((ImageList(self.folder / IMAGES / track.video, names),), (VISIBLE,)),
            placed,
            size=(SIDE, SIDE),
            category=self.kinds[index],
            video=track.video,
            objects=AnnotatedObjects(self._objects(track, boxes, scales), index),
        )

    def _objects(self, track: Track, boxes: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """[K, 6] the other objects in the crops of a track, where their position is known."""
        together = self.videos[track.video]
        frames, others, owners = self.frames[together], self.boxes[together], self.owners[together]
        first = track.first - together.start
        foreign = np.ones(len(frames), bool)
        foreign[first : first + track.rows] = False
        found = [np.zeros((0, 6))]
        for row, (frame, box, scale) in enumerate(zip(self.frames[track.first :], boxes, scales, strict=False)):
            here = foreign & (frames == frame)
            if here.any() and np.isfinite(box).all():
                placed = place_in_crop(others[here], box[None], np.array([scale]))
                rows = np.column_stack([np.full(len(placed), row), owners[here], placed])
                found.append(rows[((placed[:, :2] < SIDE) & (placed[:, :2] + placed[:, 2:] > 0)).all(1)])
        return np.concatenate(found)


def place_in_crop(boxes: np.ndarray, around: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Boxes in crops around the boxes `around`: [K, 4], [K or 1, 4] xywh in the frame, [K or 1] -> [K, 4] xywh pixels.

    A box of which only the size is known is placed at the centre of the crop.
    """
    offset = (boxes[:, :2] + boxes[:, 2:] / 2 - around[:, :2] - around[:, 2:] / 2) * scales[:, None]
    extent = boxes[:, 2:] * scales[:, None]
    return np.concatenate([SIDE / 2 + np.nan_to_num(offset) - extent / 2, extent], axis=1)


def read_cropped(folder: str | Path, name: str) -> CroppedTracks:
    """The crops of one set in `<folder>/<name>`. Raises InputError for what is missing or malformed."""
    root = Path(folder) / name
    if not (root / BOXES).is_file() or not (root / IMAGES).is_dir():
        raise InputError(f"{root}: no {BOXES} with {IMAGES}/ here; set crop511_dir in local.py")
    content, categories = _read_json(root / BOXES), {}
    if (root / CATEGORIES).is_file():
        categories = _read_json(root / CATEGORIES)
    tracks: list[Track] = []
    frames: list[int] = []
    boxes: list[list[float]] = []
    videos = {}
    try:
        for video, named in content.items():
            start = len(frames)
            for track, rows in named.items():
                tracks.append(Track(video, track, len(frames), len(rows)))
                frames += [int(frame) for frame in rows]
                boxes += [_to_xywh(corners) for corners in rows.values()]
            videos[video] = slice(start, len(frames))
        kinds = [str(categories.get(track.video, {}).get(track.name, "")) for track in tracks]
        numbers, places = np.array(boxes, np.float64).reshape(-1, 4), np.array(frames, np.int64)
        if not (numbers[:, 2:] >= 0).all() or not np.isfinite(numbers[:, 2:]).all() or not numbers[:, 2:].any(1).all():
            raise ValueError("a box without width and height")
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{root / BOXES}: not {{video: {{track: {{frame: box}}}}}}: {error}; make it again") from None
    owners = np.repeat(np.arange(len(tracks)), [track.rows for track in tracks])
    return CroppedTracks(root, tracks, places, numbers, owners, kinds, videos, name in STILLS)


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
