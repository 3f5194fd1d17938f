"""Salient objects: photographs with a mask of what is most striking in them, such as MSRA10K or DUTS, merged into one
folder. Every image is a sequence of two equal frames.

images/<name>.jpg  gt/<name>.png     grey, 255 = object; one box an image, the extent of the object's contours
"""

from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ..collection import refuse
from ..index import cached_numbers
from ..layout import ImageList, is_image
from ..mask import find_extent, read_labels
from ..still_images import StillImages

COLUMNS = 7  # of a row: image, x, y, w, h, width, height


def read_training(folder: str | Path) -> StillImages:
    """The images whose mask has an object (SALIENCY). Raises InputError for what is missing or malformed."""
    root = Path(folder)
    if not ((root / "images").is_dir() and (root / "gt").is_dir()):
        raise InputError(f"{root}: no images/<name>.jpg with gt/<name>.png here; set saliency_dir in local.py")
    photos = {path.stem: path.name for path in _list(root / "images")}
    masks = _list(root / "gt")
    alone = [path for path in masks if path.stem not in photos]
    refuse(
        (f"{path}: has no image" for path in alone),
        f"{(alone or [root])[0]}: {len(alone)} of {len(masks)} masks have no image, this is the first; complete the "
        "download",
    )
    if not masks:
        raise InputError(f"{root / 'gt'}: no masks; complete the download")
    rows = cached_numbers(root / "gt", COLUMNS, lambda: np.array([_measure(k, path) for k, path in enumerate(masks)]))
    found = rows[(rows[:, 3] > 0) & np.array([path.stem in photos for path in masks])]
    chosen = [masks[int(row[0])] for row in found]
    return StillImages(
        root / "images",
        [photos[path.stem] for path in chosen],
        np.arange(len(found)),
        found[:, 1:5],
        np.zeros(len(found), int),
        [""],
        found[:, 5:].astype(int),
        masks=chosen,
    )


def _list(folder: Path) -> ImageList:
    """The images of a folder by name: these are no frames, so their names need no numbers."""
    return ImageList(folder, tuple(sorted(path.name for path in folder.iterdir() if is_image(path.name))))


def _measure(number: int, path: Path) -> list[float]:
    """The row of a mask; a box of zeros where it has no object."""
    labels = read_labels(path)
    box = find_extent(labels > 127)
    return [number, *(np.zeros(4) if box is None else box), labels.shape[1], labels.shape[0]]
