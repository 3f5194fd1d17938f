"""Reading annotations without images, for scoring."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...core.errors import InputError
from ...datasets.annotation import read_boxes
from ...datasets.layout import first_existing
from ...datasets.readers.got10k import read_labels
from ...datasets.readers.gtot import read_corner_boxes
from ...datasets.readers.lasot import read_flagged_boxes
from ...datasets.readers.rgbt234 import read_both_boxes, read_common_boxes
from ...datasets.readers.vot import read_regions
from ...datasets.readers.vtuav import read_sparse_boxes
from ..metrics import GroundTruth

ANNOTATIONS = ("groundtruth.txt", "groundtruth_rect.txt", "visible.txt", "init.txt", "infrared.txt")
OWN_NAMES = ("groundTruth_v.txt", "rgb.txt")  # of GTOT and VTUAV


def _read_single(folder: Path) -> dict[str, Any]:
    path = first_existing(folder, ANNOTATIONS)
    return {"boxes": read_boxes(path or folder / ANNOTATIONS[0])}


def _read_regions(folder: Path) -> dict[str, Any]:
    return {"boxes": read_regions(folder)}


#: Beginning of a data set's name -> function that reads the annotation of one sequence folder
FOLDERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "gtot": read_corner_boxes,
    "rgbt234": read_both_boxes,
    "rgbt210": read_common_boxes,
    "vtuav": read_sparse_boxes,
    "vot": _read_regions,
    "lasot": read_flagged_boxes,
    "got10k": read_labels,
}


def read_ground_truths(dataset: str, folder: str | Path) -> dict[str, GroundTruth]:
    """Sequence name -> ground truth, from `<sequence>.txt` files or from sequence folders in the data set's layout.

    Raises InputError for a folder with neither and for malformed files.
    """
    root = Path(folder)
    paths = sorted(root.glob("*.txt"))
    if paths and all(path.name != "list.txt" for path in paths):
        return {path.stem: GroundTruth(read_boxes(path)) for path in paths}
    read = next((FOLDERS[key] for key in FOLDERS if dataset.lower().startswith(key)), _read_single)
    folders = [path for path in sorted(root.glob("*/")) if first_existing(path, (*ANNOTATIONS, *OWN_NAMES))]
    truths = {path.name: _truth(path, read(path)) for path in folders}
    if not truths:
        raise InputError(f"--annotations {folder}: no <sequence>.txt files and no folders of sequences there")
    return truths


def _truth(folder: Path, known: dict[str, Any]) -> GroundTruth:
    share = known.pop("visible_share", None)
    rows = len(known["boxes"])
    for key, values in (("boxes_infrared", known.get("boxes_infrared")), ("flags", share)):
        if values is not None and len(values) != rows:
            raise InputError(f"{folder}: {len(values)} {key.replace('_', ' ')} for {rows} boxes; the two must agree")
    return GroundTruth(**known, absent=None if share is None else share <= 0)
