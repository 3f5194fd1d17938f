"""COCO 2017 (Lin et al., ECCV 2014) as a set of still sequences: every annotated object is one, two equal frames long.

images/train2017/<image>.jpg  annotations/instances_train2017.json     x, y, w, h
"""

import json
from collections import abc
from pathlib import Path
from typing import overload

import numpy as np

from lib.core.errors import InputError
from lib.datasets.sequence import VISIBLE, FileFrames, Sequence


class Stills(abc.Sequence[Sequence]):
    """Sequences made when asked for: there are 850 000, and a training draws a fraction of them."""

    def __init__(self, folder: Path, names: list[str], images: np.ndarray, boxes: np.ndarray):
        """names: of all images; images: [N] index of each object's; boxes: [N, 4] xywh pixels."""
        self.folder, self.names, self.images, self.boxes = folder, names, images, boxes

    def __len__(self) -> int:
        return len(self.boxes)

    @overload
    def __getitem__(self, index: int) -> Sequence: ...
    @overload
    def __getitem__(self, index: slice) -> "Stills": ...
    def __getitem__(self, index: int | slice) -> "Sequence | Stills":
        if isinstance(index, slice):
            return Stills(self.folder, self.names, self.images[index], self.boxes[index])
        path = self.folder / self.names[self.images[index]]
        frames = FileFrames(((path, path),), (VISIBLE,))
        return Sequence(f"{path.stem}_{index}", frames, np.repeat(self.boxes[index][None], 2, axis=0))


def read_training(folder: str | Path) -> abc.Sequence[Sequence]:
    """The objects of train2017, without crowds and boxes without area. Raises InputError for missing files."""
    root = Path(folder)
    path = root / "annotations" / "instances_train2017.json"
    images = next((place for place in (root / "images" / "train2017", root / "train2017") if place.is_dir()), None)
    if not path.is_file() or images is None:
        raise InputError(f"{root}: no annotations/{path.name} with images/train2017 here; set coco_dir in local.py")
    try:
        content = json.loads(path.read_bytes())
        names = [image["file_name"] for image in content["images"]]
        place = {image["id"]: index for index, image in enumerate(content["images"])}
        objects = [item for item in content["annotations"] if not item["iscrowd"] and min(item["bbox"][2:]) > 0]
        owners = np.array([place[item["image_id"]] for item in objects], np.int32)
        boxes = np.array([item["bbox"] for item in objects], np.float64).reshape(-1, 4)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not COCO's annotation: {error!r}; download it again") from None
    return Stills(images, names, owners, boxes)
