"""ImageNet DET (Russakovsky et al., IJCV 2015), the training images with boxes, 200 categories: still images.

Data/DET/train/<part>/…/<image>.JPEG  Annotations/DET/train/<part>/…/<image>.xml     corners, with the synset's number
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ..collection import read_each
from ..index import cached_numbers
from ..layout import check_count
from ..still_images import StillImages
from .imagenetvid import read_corners, synset_name

IMAGES = 333_474  # with at least one box; the negatives of ILSVRC2013_train_extra have none
COLUMNS = 8  # of a row: image of its folder, x, y, w, h, synset, width, height


def read_training(folder: str | Path) -> StillImages:
    """The objects of the training images (IMAGENETDET). Raises InputError for what is missing or malformed."""
    root = Path(folder)
    tried = [place / "Annotations" / "DET" / "train" for place in (root, root / "ILSVRC")]
    annotations = next((place for place in tried if place.is_dir()), tried[0])
    folders = sorted({path.parent for path in annotations.rglob("*.xml")})
    if not folders:
        raise InputError(f"{annotations}: no <part>/<image>.xml here; set imagenet_dir in local.py")
    names: list[str] = []
    rows = [np.zeros((0, COLUMNS))]
    for place, found in zip(folders, read_each(_read_folder, folders), strict=True):
        stems, numbers = found
        rows.append(numbers + [len(names), 0, 0, 0, 0, 0, 0, 0])
        names += [f"{(place / stem).relative_to(annotations).as_posix()}.JPEG" for stem in stems]
    objects = np.concatenate(rows)
    owners = objects[:, 0].astype(np.int32)
    check_count(annotations, len(np.unique(owners)), IMAGES, "ImageNet DET's training set, in images with boxes,")
    labels, kinds = np.unique(objects[:, 5].astype(int), return_inverse=True)
    sizes = np.zeros((len(names), 2), int)
    sizes[owners] = objects[:, 6:]
    images = annotations.parents[2] / "Data" / "DET" / "train"
    return StillImages(images, names, owners, objects[:, 1:5], kinds, [synset_name(label) for label in labels], sizes)


def _read_folder(folder: Path) -> tuple[list[str], np.ndarray]:
    """Stems of the annotation files of a folder, and the rows of all their objects."""
    paths = sorted(folder.glob("*.xml"))

    def read() -> np.ndarray:
        rows = [row for number, path in enumerate(paths) for row in _read_image(number, path)]
        return np.array(rows, np.float64).reshape(-1, COLUMNS)

    return [path.stem for path in paths], cached_numbers(folder, COLUMNS, read)


def _read_image(number: int, path: Path) -> Iterator[list[float]]:
    try:
        root = ElementTree.parse(path).getroot()
        size = [float(root.findtext(f"size/{name}", "0")) for name in ("width", "height")]
        for item in root.iter("object"):
            box, synset = read_corners(item)
            if min(box[2:]) > 0:
                yield [number, *box, synset, *size]
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path}: not an annotation of ImageNet DET: {error}; download it again") from None
