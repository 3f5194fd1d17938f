"""OTB100, UAV123, UAV20L and NfS (30 frames/s): sequences are ranges of image folders, listed in a table.

Columns of the tables in splits/: name, folder, first and last image, number of annotation rows to skip at the start.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ...core.errors import InputError
from ..annotation import read_lines
from ..collection import read_each, refuse
from ..layout import NumberedImages, make_sequence, read_started_boxes
from ..sequence import VISIBLE, Sequence

SPLITS = Path(__file__).parents[1] / "splits"
DIGITS = (4, 5, 6, 8)  # of an image's name; OTB's Board has 5 where the others have 4


class Row(NamedTuple):
    """One line of a table."""

    name: str
    folder: str
    first: int
    last: int
    omitted: int = 0  # frames skipped at the start


def read_otb(folder: str | Path) -> list[Sequence]:
    """OTB100 (Wu et al., PAMI 2015). Raises InputError for what is missing or malformed."""

    def annotation(row: Row) -> str:
        target = f".{row.name.rpartition('_')[2]}" if row.name != row.folder else ""  # two targets in one folder
        return f"{row.folder}/groundtruth_rect{target}.txt"

    return _read(Path(folder), "otb", lambda row: f"{row.folder}/img", annotation)


def read_uav(folder: str | Path) -> list[Sequence]:
    """UAV123 (Mueller et al., ECCV 2016). Raises InputError for what is missing or malformed."""
    return _read(Path(folder), "uav", lambda row: f"data_seq/UAV123/{row.folder}", _uav_annotation)


def read_uav20l(folder: str | Path) -> list[Sequence]:
    """UAV20L, the 20 long sequences: whole folders of UAV123. Raises InputError for what is missing or malformed."""
    paths = sorted((Path(folder) / "anno" / "UAV20L").glob("*.txt"))
    if not paths:
        raise InputError(f"{folder}: no anno/UAV20L/<sequence>.txt here; set uav_dir in local.py")
    images = Path(folder) / "data_seq" / "UAV123"
    return read_each(
        lambda path: make_sequence(f"uav_{path.stem}", {VISIBLE: images / path.stem}, read_started_boxes(path)), paths
    )


def read_nfs(folder: str | Path) -> list[Sequence]:
    """Need for Speed (Kiani Galoogahi et al., ICCV 2017) at 30 frames/s, with the OSTrack code base's boxes.

    Raises InputError for what is missing or malformed.
    """
    return _read(Path(folder), "nfs", lambda row: f"sequences/{row.folder}", lambda row: f"anno/{row.name}.txt")


def read_table(name: str) -> list[Row]:
    """The sequences of a set."""
    rows = [line.split("\t") for line in read_lines(SPLITS / f"{name}.txt")]
    return [Row(row[0], row[1], *map(int, row[2:])) for row in rows]


def _uav_annotation(row: Row) -> str:
    return f"anno/UAV123/{row.name.removeprefix('uav_')}.txt"


def _read(root: Path, table: str, images: Callable[[Row], str], annotation: Callable[[Row], str]) -> list[Sequence]:
    rows = read_table(table)
    missing = [row for row in rows if not (root / annotation(row)).is_file()]
    refuse(
        (f"{root / annotation(row)}: annotation is missing" for row in missing),
        f"{root / annotation((missing or rows)[0])}: {len(missing)} of {len(rows)} annotations missing, this is the "
        f"first; complete the download, or set {table}_dir in local.py",
    )

    def read(row: Row) -> Sequence:
        boxes = read_started_boxes(root / annotation(row))[row.omitted :]
        numbered = _numbered(root / images(row), row.first + row.omitted, row.last)
        return make_sequence(row.name, {VISIBLE: numbered}, boxes)

    return read_each(read, [row for row in rows if row not in missing])


def _numbered(folder: Path, first: int, last: int) -> NumberedImages:
    tried = [NumberedImages(folder, last - first + 1, first, digits) for digits in DIGITS]
    found = next((images for images in tried if images[0].is_file()), tried[0])
    for path in (found[0], found[-1]):
        if not path.is_file():
            raise InputError(f"{path}: image does not exist; complete the download")
    return found
