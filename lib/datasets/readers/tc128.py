"""TColor-128 (Liang et al., Encoding Color Information for Visual Tracking, TIP 2015): 128 visible sequences.

<seq>/img/0001.jpg  <seq>/<seq>_gt.txt  <seq>/<seq>_frames.txt     x,y,w,h; first and last annotated image
"""

from pathlib import Path

from ...core.errors import InputError
from ..annotation import read_numbers
from ..collection import read_each
from ..layout import check_count, find_sequences, make_sequence, number_images, read_started_boxes
from ..sequence import VISIBLE, Sequence


def read_tc128(folder: str | Path) -> list[Sequence]:
    """The sequences. Raises InputError for what is missing or malformed."""
    folders = find_sequences(Path(folder), "img", "tc128_dir")
    check_count(Path(folder), len(folders), 128, "TColor-128")
    return read_each(_read_sequence, folders.values())


def _read_sequence(folder: Path) -> Sequence:
    path = folder / f"{folder.name}_frames.txt"
    first, last = read_numbers(path, 2)[0].astype(int).tolist()
    if last < first:
        raise InputError(f"{path}: images {first} to {last}; expected the first before the last")
    images = number_images(folder / "img", last - first + 1, first=first, digits=4)
    return make_sequence(folder.name, {VISIBLE: images}, read_started_boxes(folder / f"{folder.name}_gt.txt"))
