"""LasHeR (Li et al., TIP 2022): 979 training and 245 testing sequences of visible and infrared video.

In the usual release the two are registered to each other and share their boxes; the unaligned one has its own boxes,
and often another image size, for each.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...core.errors import InputError
from ..annotation import read_boxes, read_flags, read_lines
from ..collection import read_each, refuse
from ..layout import check_count, first_existing, make_sequence, read_started_boxes
from ..sequence import INFRARED, VISIBLE, Sequence

log = logging.getLogger(__name__)

ATTRIBUTES = (
    *("NO", "PO", "TO", "HO", "MB", "LI", "HI", "AIV", "LR", "DEF"),
    *("BC", "SA", "CM", "TC", "FL", "OV", "FM", "SV", "ARC"),
)
ANNOTATIONS = ("visible.txt", "init.txt", "infrared.txt")  # the authors' order where a download lacks one of them
SIZES = {"training": 979, "testing": 245}
SPLITS = Path(__file__).parents[1] / "splits"
HELD_IN, HELD_OUT = "lasher_train882.txt", "lasher_val97.txt"


def read_training(folder: str | Path) -> list[Sequence]:
    """The training sequences under LasHeR's folder. Raises InputError for what is missing or malformed."""
    return _read(Path(folder), "training")


def read_held_in(folder: str | Path) -> list[Sequence]:
    """882 of the training sequences, to train on: the split of ViPT (Zhu et al., CVPR 2023).

    Raises InputError for what is missing or malformed.
    """
    return _read(Path(folder), "training", part=HELD_IN)


def read_held_out(folder: str | Path) -> list[Sequence]:
    """The other 97 of ViPT's split, to validate on. Raises InputError for what is missing or malformed."""
    return _read(Path(folder), "training", part=HELD_OUT)


def read_testing(folder: str | Path) -> list[Sequence]:
    """The testing sequences under LasHeR's folder. Raises InputError for what is missing or malformed."""
    return _read(Path(folder), "testing")


def read_unaligned_training(folder: str | Path) -> list[Sequence]:
    """The training sequences of the unaligned release, with both annotations. Raises InputError as the others do."""
    return _read(Path(folder), "training", unaligned=True)


def read_unaligned_testing(folder: str | Path) -> list[Sequence]:
    """The testing sequences of the unaligned release, with both annotations. Raises InputError as the others do."""
    return _read(Path(folder), "testing", unaligned=True)


def _read(root: Path, split: str, *, unaligned: bool = False, part: str = "") -> list[Sequence]:
    """part: a list of `splits`; without one, all sequences."""
    folder = _split_folder(root, split, "lasher_unaligned_dir" if unaligned else "lasher_dir")
    nearby = list(dict.fromkeys([root, folder, folder.parent]))
    if part:
        names = _present(read_lines(SPLITS / part), folder, f"ViPT's {part}")
    else:
        names = _listed(nearby, folder, split) or [path.name for path in _sequence_folders(folder)]
        check_count(folder, len(names), SIZES[split], f"LasHeR's {split} set")

    def read(name: str) -> Sequence:
        sequence = _read_sequence(folder / name, split, both=unaligned)
        return replace(sequence, attributes=_attributes(name, nearby))

    return read_each(read, names)


def _split_folder(root: Path, split: str, key: str) -> Path:
    short = split.removesuffix("ing")
    tried = [f"{split}set", f"{short}/{split}set", f"{split.title()}Set/{split}set", f"{split.title()}Set", short]
    if root.name == f"{split}set" or (root / f"{split}setList.txt").is_file():
        tried.append(".")  # all sequences in one folder: only a list can tell training from testing
    for relative in tried:
        folder = root / relative
        if folder.is_dir() and next(_sequence_folders(folder), None) is not None:
            return folder
    raise InputError(
        f"{root}: no LasHeR {split} set here; looked for <sequence>/visible in {', '.join(tried)}; "
        f"set {key} in local.py"
    )


def _sequence_folders(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if (path / VISIBLE).is_dir())


def _listed(nearby: list[Path], folder: Path, split: str) -> list[str]:
    path = next((place / f"{split}setList.txt" for place in nearby if (place / f"{split}setList.txt").is_file()), None)
    return _present([name for name in read_lines(path) if name], folder, str(path)) if path else []


def _present(names: list[str], folder: Path, source: str) -> list[str]:
    missing = [name for name in names if not (folder / name).is_dir()]
    more = f" and {len(missing) - 1} more" if missing[1:] else ""
    first = f"{folder / missing[0]}: sequence{more} of {source} is missing; complete the download" if missing else ""
    refuse((f"{folder / name}: sequence of {source} is missing" for name in missing), first)
    return [name for name in names if name not in missing]


def _read_sequence(folder: Path, split: str, *, both: bool) -> Sequence:
    annotation = first_existing(folder, ANNOTATIONS)
    if annotation is None:
        raise InputError(f"{folder}: no annotation; looked for {', '.join(ANNOTATIONS)}")
    boxes = read_started_boxes(annotation) if split == "testing" else read_boxes(annotation)
    known = {"boxes_infrared": read_boxes(folder / "infrared.txt")} if both else {}
    return make_sequence(folder.name, {name: folder / name for name in (VISIBLE, INFRARED)}, boxes, **known)


def _attributes(name: str, nearby: list[Path]) -> dict[str, bool]:
    for place in nearby:
        path = place / "AttriSeqsTxt" / f"{name}.txt"
        if path.is_file():
            flags = read_flags(path)
            if len(flags) != len(ATTRIBUTES):
                raise InputError(f"{path}: expected {len(ATTRIBUTES)} flags, got {len(flags)}")
            return dict(zip(ATTRIBUTES, flags.tolist(), strict=True))
    return {}
