"""YouTube-VOS (Xu et al., ECCV 2018), the training part: 3471 videos, every fifth frame, with a mask of each object.

train/JPEGImages/<video>/00000.jpg  train/Annotations/<video>/00000.png  train/meta.json     a palette number an object

Every object is a sequence of the frames of its video that have an annotation. Its box is the extent of its contours. It
is 0,0,0,0 where the object is not seen, or hardly.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...core.bounded import parse_json
from ...core.errors import InputError
from ..collection import read_each
from ..index import cached_numbers
from ..layout import ImageList, check_count, list_images
from ..mask import FileMasks, find_extent, read_labels
from ..sequence import VISIBLE, AnnotatedObjects, FileFrames, Sequence

VIDEOS = 3471
COLUMNS = 6  # of a row: frame, object, x, y, w, h
LEAST_PIXELS = 1000  # of an object; a smaller one has no box


def read_training(folder: str | Path) -> list[Sequence]:
    """The objects of the training videos (YOUTUBEVOS). Raises InputError for what is missing or malformed."""
    root = next((place for place in (Path(folder) / "train", Path(folder)) if (place / "Annotations").is_dir()), None)
    if root is None:
        raise InputError(f"{folder}: no train/Annotations/<video>/00000.png here; set youtubevos_dir in local.py")
    videos = sorted(path for path in (root / "Annotations").iterdir() if path.is_dir())
    check_count(root, len(videos), VIDEOS, "YouTube-VOS' training set, in videos,")
    kinds = _read_kinds(root / "meta.json")
    found = read_each(lambda video: list(_read_objects(video, root / "JPEGImages" / video.name, kinds)), videos)
    return [sequence for objects in found for sequence in objects]


def _read_kinds(path: Path) -> dict[tuple[str, int], str]:
    """(video, object) -> category."""
    if not path.is_file():
        raise InputError(f"{path}: file does not exist; complete the download")
    try:
        videos: dict[str, Any] = parse_json(path.read_bytes())["videos"]
        return {
            (video, int(number)): str(entry["category"])
            for video, known in videos.items()
            for number, entry in known["objects"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not YouTube-VOS' list of objects: {error!r}; download it again") from None


def _read_objects(annotations: Path, images: Path, kinds: dict[tuple[str, int], str]) -> Iterator[Sequence]:
    masks = list_images(annotations)
    frames = ImageList(images, tuple(f"{Path(name).stem}.jpg" for name in masks.names))
    for path in (frames[0], frames[-1]):
        if not path.is_file():
            raise InputError(f"{path}: image does not exist; complete the download")
    rows = cached_numbers(annotations, COLUMNS, lambda: _find_boxes(masks))
    for label in np.unique(rows[:, 1]).astype(int).tolist():
        own = rows[rows[:, 1] == label]
        boxes = np.zeros((len(masks), 4))
        boxes[own[:, 0].astype(int)] = own[:, 2:]
        yield Sequence(
            f"{images.name}_{label}",
            FileFrames((frames,), (VISIBLE,)),
            boxes,
            category=kinds.get((images.name, label), ""),
            video=images.name,
            objects=AnnotatedObjects(rows, label),
            masks=FileMasks(masks, label),
        )


def _find_boxes(masks: ImageList) -> np.ndarray:
    """[N, 6] rows of all objects of a video that are large enough, see COLUMNS."""
    rows = []
    for frame, path in enumerate(masks):
        labels = read_labels(path)
        for label, pixels in zip(*np.unique(labels, return_counts=True), strict=True):
            box = find_extent(labels == label) if label and pixels > LEAST_PIXELS else None
            if box is not None:
                rows.append([frame, label, *box])
    return np.array(rows, np.float64).reshape(-1, COLUMNS)
