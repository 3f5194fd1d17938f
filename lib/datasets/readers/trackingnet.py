"""TrackingNet (Mueller et al., ECCV 2018): 30132 training sequences in 12 parts and 511 testing ones, visible.

TRAIN_0/anno/<seq>.txt  TRAIN_0/frames/<seq>/0.jpg  TEST/…     x,y,w,h; the test annotation is its first row
"""

from pathlib import Path

from ...core.errors import InputError
from ..annotation import read_boxes
from ..collection import read_each
from ..layout import check_count, make_sequence, number_images, read_started_boxes
from ..sequence import VISIBLE, Sequence

PARTS = 12
TESTING = 511


def read_training(folder: str | Path) -> list[Sequence]:
    """The training sequences of all parts that are there. Raises InputError when there is none."""
    root = Path(folder)
    parts = [root / f"TRAIN_{index}" for index in range(PARTS) if (root / f"TRAIN_{index}" / "anno").is_dir()]
    if not parts:
        raise InputError(f"{root}: no TRAIN_0/anno to TRAIN_11/anno here; set trackingnet_dir in local.py")
    check_count(root, len(parts), PARTS, "TrackingNet's training set, in parts,")
    return read_each(_read_training, [path for part in parts for path in sorted((part / "anno").glob("*.txt"))])


def read_testing(folder: str | Path) -> list[Sequence]:
    """The 511 testing sequences. Raises InputError for what is missing or malformed."""
    root = Path(folder) / "TEST"
    paths = sorted((root / "anno").glob("*.txt"))
    if not paths:
        raise InputError(f"{root}: no anno/<sequence>.txt here; set trackingnet_dir in local.py")
    check_count(root, len(paths), TESTING, "TrackingNet's test set")
    return read_each(
        lambda path: make_sequence(path.stem, {VISIBLE: root / "frames" / path.stem}, read_started_boxes(path)), paths
    )


def _read_training(path: Path) -> Sequence:
    boxes = read_boxes(path)
    images = number_images(path.parents[1] / "frames" / path.stem, len(boxes), first=0, digits=0)
    return make_sequence(path.stem, {VISIBLE: images}, boxes)
