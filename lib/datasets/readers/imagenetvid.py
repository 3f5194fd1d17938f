"""ImageNet VID (Russakovsky et al., IJCV 2015): 3862 training videos with every object of every frame, visible.

Data/VID/train/<part>/<video>/000000.JPEG  Annotations/VID/train/<part>/<video>/000000.xml     corners, with a track id

Every track is a sequence: the frames from its first box to its last, 0,0,0,0 where it is absent in between.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ..collection import read_each
from ..index import cached_numbers
from ..layout import NumberedImages, check_count
from ..sequence import VISIBLE, AnnotatedObjects, FileFrames, Sequence

VIDEOS = 3862
COLUMNS = 8  # of a row: frame, track, x, y, w, h, occluded, synset
DIGITS = 6


def read_training(folder: str | Path) -> list[Sequence]:
    """The tracks of the training videos with two boxes or more (IMAGENETVID). Raises InputError for what is missing or
    malformed."""
    root = Path(folder)
    tried = [place / "Annotations" / "VID" / "train" for place in (root, root / "ILSVRC2015", root / "ILSVRC")]
    annotations = next((place for place in tried if place.is_dir()), tried[0])
    videos = sorted(path for path in annotations.glob("*/*") if path.is_dir())
    if not videos:
        raise InputError(f"{annotations}: no <part>/<video>/000000.xml here; set imagenet_dir in local.py")
    check_count(annotations, len(videos), VIDEOS, "ImageNet VID's training set, in videos,")
    images = annotations.parents[2] / "Data" / "VID" / "train"
    tracks = read_each(lambda video: list(_read_tracks(video, images / video.relative_to(annotations))), videos)
    return [sequence for found in tracks for sequence in found]


def read_objects(folder: Path) -> np.ndarray:
    """[N, 8] rows of all objects of a video, see COLUMNS. Raises InputError for a malformed file."""
    rows = [row for path in sorted(folder.glob("*.xml")) for row in _read_frame(path)]
    return np.array(rows, np.float64).reshape(-1, COLUMNS)


def read_corners(item: ElementTree.Element) -> tuple[list[float], int]:
    """Box (xywh, pixels) and synset's number of an <object>. Raises ValueError where one is missing."""
    left, top, right, bottom = (float(item.findtext(f"bndbox/{name}", "")) for name in ("xmin", "ymin", "xmax", "ymax"))
    return [left, top, right - left, bottom - top], int(item.findtext("name", "").removeprefix("n"))


def synset_name(number: int) -> str:
    """WordNet's name of a synset.

    >>> synset_name(2084071)
    'n02084071'
    """
    return f"n{number:08d}"


def _read_frame(path: Path) -> Iterator[list[float]]:
    try:
        for item in ElementTree.parse(path).getroot().iter("object"):
            box, synset = read_corners(item)
            track, occluded = float(item.findtext("trackid", "")), float(item.findtext("occluded", "0"))
            yield [int(path.stem), track, *box, occluded, synset]
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path}: not an annotation of ImageNet VID: {error}; download it again") from None


def _read_tracks(annotations: Path, images: Path) -> Iterator[Sequence]:
    rows = cached_numbers(annotations, COLUMNS, lambda: read_objects(annotations))
    for track in np.unique(rows[:, 1]).astype(int).tolist():
        own = rows[rows[:, 1] == track]
        numbers = own[:, 0].astype(int)
        if len(numbers) < 2:
            continue
        first, length = int(numbers.min()), int(np.ptp(numbers)) + 1
        boxes, share = np.zeros((length, 4)), np.zeros(length)
        boxes[numbers - first], share[numbers - first] = own[:, 2:6], 1 - own[:, 6]
        paths = NumberedImages(images, length, first, DIGITS, ".JPEG")
        for path in (paths[0], paths[-1]):
            if not path.is_file():
                raise InputError(f"{path}: image does not exist; complete the download")
        yield Sequence(
            f"{images.name}_{track}",
            FileFrames((paths,), (VISIBLE,)),
            boxes,
            visible_share=share,
            category=synset_name(int(own[0, 7])),
            video=images.name,
            objects=AnnotatedObjects(rows[:, :6], track, first),
        )
