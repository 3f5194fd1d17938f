"""RGBT234 (Li et al., PR 2019) and RGBT210 (Li et al., ACM MM 2017): registered visible and infrared video.

<seq>/visible/00001v.jpg  <seq>/infrared/00001i.jpg  visible.txt  infrared.txt  init.txt     x,y,w,h

RGBT234 annotates both streams, up to hundreds of pixels apart; RGBT210 has init.txt alone. RGBT234 contains all names
of RGBT210, most of them with other boxes, so the two have separate readers.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ..annotation import read_flags, read_lines
from ..collection import read_each
from ..layout import check_count, find_sequences, first_existing, make_sequence, read_started_boxes
from ..sequence import INFRARED, VISIBLE, Sequence

ATTRIBUTES = ("BC", "CM", "DEF", "FM", "HO", "LI", "LR", "MB", "NO", "PO", "SC", "TC")
NAMES = "SequencesName.txt"
FLAG_FOLDERS = (".", "attributes", "Attributes", "attribute", "AttributesTxt")


def read_rgbt234(folder: str | Path) -> list[Sequence]:
    """The 234 sequences. Raises InputError for what is missing or malformed."""
    return _read(Path(folder), "rgbt234", 234)


def read_rgbt210(folder: str | Path) -> list[Sequence]:
    """The 210 sequences. Raises InputError for what is missing or malformed."""
    return _read(Path(folder), "rgbt210", 210)


def read_both_boxes(folder: Path) -> dict[str, np.ndarray]:
    """RGBT234's annotation of one sequence: `boxes` and, where there is one, `boxes_infrared`."""
    annotation = first_existing(folder, ("visible.txt", "init.txt", "infrared.txt"))
    if annotation is None:
        raise InputError(f"{folder}: no annotation; looked for visible.txt, init.txt, infrared.txt")
    boxes = {"boxes": read_started_boxes(annotation)}
    infrared = folder / "infrared.txt"
    return boxes | {"boxes_infrared": read_started_boxes(infrared)} if infrared.is_file() else boxes


def read_common_boxes(folder: Path) -> dict[str, np.ndarray]:
    """RGBT210's annotation of one sequence: `boxes`."""
    annotation = first_existing(folder, ("init.txt", "groundtruth.txt", "visible.txt"))
    if annotation is None:
        raise InputError(f"{folder}: no annotation; looked for init.txt, groundtruth.txt, visible.txt")
    return {"boxes": read_started_boxes(annotation)}


def _read(root: Path, name: str, count: int) -> list[Sequence]:
    folders = find_sequences(root, VISIBLE, f"{name}_dir", depth=2)
    check_count(root, len(folders), count, name.upper())
    attributes = _read_attributes(root)
    annotate = read_both_boxes if name == "rgbt234" else read_common_boxes

    def read(folder: Path) -> Sequence:
        images = {stream: folder / stream for stream in (VISIBLE, INFRARED)}
        sequence = make_sequence(folder.name, images, **annotate(folder))
        return replace(sequence, attributes=attributes.get(folder.name, {}))

    return read_each(read, folders.values())


def _read_attributes(root: Path) -> dict[str, dict[str, bool]]:
    """Sequence name -> attributes, where the flag files are beside the sequences. Their rows follow SequencesName.txt,
    whose order is not alphabetical; those of RGBT210 have the 234 rows of RGBT234."""
    place = next((root / part for part in FLAG_FOLDERS if (root / part / NAMES).is_file()), None)
    if place is None:
        return {}
    names = [name for name in read_lines(place / NAMES) if name]
    flags = {key: read_flags(place / f"{key}.txt") for key in ATTRIBUTES if (place / f"{key}.txt").is_file()}
    for key, values in flags.items():
        if len(values) != len(names):
            raise InputError(f"{place / key}.txt: {len(values)} flags for {len(names)} names in {NAMES}")
    return {name: {key: bool(values[row]) for key, values in flags.items()} for row, name in enumerate(names)}
