"""COCO 2017 (Lin et al., ECCV 2014): every annotated object is a sequence of two equal frames.

images/train2017/<image>.jpg  annotations/instances_train2017.json     x, y, w, h
"""

from pathlib import Path

import numpy as np

from ...core.bounded import parse_json
from ...core.errors import InputError
from ..still_images import StillImages


def read_training(folder: str | Path) -> StillImages:
    """The objects of train2017 without crowds and empty boxes. Raises InputError for what is missing or malformed."""
    root = Path(folder)
    path = root / "annotations" / "instances_train2017.json"
    images = next((place for place in (root / "images" / "train2017", root / "train2017") if place.is_dir()), None)
    if not path.is_file() or images is None:
        raise InputError(f"{root}: no annotations/{path.name} with images/train2017 here; set coco_dir in local.py")
    try:
        content = parse_json(path.read_bytes())
        names = [image["file_name"] for image in content["images"]]
        sizes = [(image.get("width", 0), image.get("height", 0)) for image in content["images"]]
        place = {image["id"]: index for index, image in enumerate(content["images"])}
        labels = {kind["id"]: kind["name"] for kind in content.get("categories", [])}
        objects = [item for item in content["annotations"] if not item["iscrowd"] and min(item["bbox"][2:]) > 0]
        owners = np.array([place[item["image_id"]] for item in objects], np.int32)
        boxes = np.array([item["bbox"] for item in objects], np.float64).reshape(-1, 4)
        kinds = [labels.get(item.get("category_id"), "") for item in objects]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{path}: not COCO's annotation: {error!r}; download it again") from None
    found, numbers = np.unique(np.array(kinds, str), return_inverse=True)
    return StillImages(images, names, owners, boxes, numbers, found.tolist(), np.array(sizes).reshape(-1, 2))
