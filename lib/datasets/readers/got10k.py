"""GOT-10k (Huang et al., TPAMI 2021): 9335 training, 180 validation and 180 testing sequences of visible video.

{train,val,test}/list.txt  <split>/<seq>/00000001.jpg  groundtruth.txt  cover.label  absence.label  meta_info.ini

The test annotation is the first box alone: the benchmark's server scores the results. The splits of the training set
for VOT trackers are positions in train/list.txt. Their public file uses the numbers of the excluded names, which start
at 1, as positions, which start at 0, and so excludes each next sequence instead. It is kept for comparable trainings.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import InputError
from ..annotation import read_boxes, read_flags, read_lines, read_numbers
from ..collection import read_each
from ..layout import check_count, check_start, make_sequence, number_images
from ..sequence import VISIBLE, Sequence

SPLITS = Path(__file__).parents[1] / "splits"
SIZES = {"train": 9335, "val": 180, "test": 180}
COVER = 8  # levels of cover.label: the visible share of the target in eighths
OBJECT = re.compile(r"^object_class\s*[:=]\s*(.*?)\s*$", re.MULTILINE)
RESOLUTION = re.compile(r"resolution\s*[:=]\s*\(?\s*(\d+)\s*,\s*(\d+)")


def read_training(folder: str | Path) -> list[Sequence]:
    """All training sequences (GOT10K_train_full). Raises InputError for what is missing or malformed."""
    return _read(Path(folder), "train")


def read_split_training(folder: str | Path) -> list[Sequence]:
    """7934 training sequences, without the held-out part (GOT10K_train_split). Raises InputError for what is missing or
    malformed."""
    left_out = set(_positions("got10k_val_positions.txt"))
    return _read(Path(folder), "train", [index for index in range(SIZES["train"]) if index not in left_out])


def read_vot_training(folder: str | Path) -> list[Sequence]:
    """7086 training sequences, without those of VOT and of the held-out part (GOT10K_vottrain)."""
    left_out = {*_positions("got10k_val_positions.txt"), *_positions("got10k_vot_excluded_positions.txt")}
    return _read(Path(folder), "train", [index for index in range(SIZES["train"]) if index not in left_out])


def read_vot_validation(folder: str | Path) -> list[Sequence]:
    """1249 held-out training sequences, without those of VOT (GOT10K_votval)."""
    left_out = set(_positions("got10k_vot_excluded_positions.txt"))
    return _read(Path(folder), "train", [i for i in _positions("got10k_val_positions.txt") if i not in left_out])


def read_validation(folder: str | Path) -> list[Sequence]:
    """The 180 validation sequences (GOT10K_official_val). Raises InputError for what is missing or malformed."""
    return _read(Path(folder), "val")


def read_testing(folder: str | Path) -> list[Sequence]:
    """The 180 testing sequences. Raises InputError for what is missing or malformed."""
    return _read(Path(folder), "test")


def _positions(name: str) -> list[int]:
    return [int(word) for line in read_lines(SPLITS / name) for word in line.split()]


def _read(root: Path, split: str, positions: Iterable[int] | None = None) -> list[Sequence]:
    folder = next((path for path in (root / split, root / "full_data" / split) if path.is_dir()), root)
    if not (folder / "list.txt").is_file():
        raise InputError(f"{root}: no {split}/list.txt here; set got10k_dir in local.py")
    names = [name for name in read_lines(folder / "list.txt") if name]
    check_count(folder, len(names), SIZES[split], f"GOT-10k's {split} set")
    chosen = names if positions is None else [names[index] for index in positions if index < len(names)]
    return read_each(lambda name: _read_sequence(folder / name, split), chosen)


def read_labels(folder: Path) -> dict[str, Any]:
    """The annotation of one sequence: `boxes`, `category`, `size` and, where it is annotated, `visible_share`."""
    known: dict[str, Any] = {"boxes": read_boxes(folder / "groundtruth.txt"), **_read_facts(folder)}
    share = _read_share(folder)
    return known if share is None else known | {"visible_share": share}


def _read_sequence(folder: Path, split: str) -> Sequence:
    known = read_labels(folder)
    if split != "train":
        check_start(folder / "groundtruth.txt", known["boxes"])
    facts = {key: known.pop(key) for key in ("size", "category")}
    images = folder if split == "test" else number_images(folder, len(known["boxes"]))
    return replace(make_sequence(folder.name, {VISIBLE: images}, **known), **facts)


def _read_share(folder: Path) -> np.ndarray | None:
    """[T] visible share of the target, 0 where it is flagged as absent."""
    if not (folder / "cover.label").is_file():
        return None
    share = read_numbers(folder / "cover.label", 1)[:, 0] / COVER
    path = folder / "absence.label"
    absent = read_flags(path) if path.is_file() else np.zeros(len(share), bool)
    if len(absent) != len(share):
        raise InputError(f"{path}: {len(absent)} rows, {len(share)} in cover.label; the two must agree")
    return np.where(absent, 0, share)


def _read_facts(folder: Path) -> dict[str, Any]:
    """Size of the frames (None where it is not stated), and the target's category."""
    path = folder / "meta_info.ini"
    text = "\n".join(read_lines(path)) if path.is_file() else ""
    size, target = RESOLUTION.search(text), OBJECT.search(text)
    return {"size": (int(size[1]), int(size[2])) if size else None, "category": target[1] if target else ""}
