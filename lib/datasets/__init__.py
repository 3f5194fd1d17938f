"""Data sets by name. A set is added by one reader and one line here."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from lib.core.errors import InputError
from lib.core.registry import choose, resolve
from lib.datasets.sequence import Frames, Sequence

__all__ = ["DATASETS", "Entry", "Frames", "Sequence", "load_dataset"]


class Entry(NamedTuple):
    """Where a data set is found and who reads it."""

    key: str  # key of local.py that holds its folder
    reader: str  # "module:function", called with that folder, returns list[Sequence]


DATASETS: dict[str, Entry] = {
    "lasher_train": Entry("lasher_dir", "lib.datasets.lasher:read_training"),
    "lasher_test": Entry("lasher_dir", "lib.datasets.lasher:read_testing"),
    "synthetic_train": Entry("photos_dir", "lib.datasets.synthetic:stream_training"),
    "synthetic_val": Entry("photos_dir", "lib.datasets.synthetic:stream_validation"),
}


def load_dataset(name: str, folders: Mapping[str, str]) -> list[Sequence]:
    """The sequences of a data set, by any name of the family (`LasHeR_train`, `lasher_test`, …).

    folders: the paths of local.py. Raises InputError for an unknown name and for a folder that is not there,
    naming the key to set.
    """
    entry = DATASETS[choose("data set", name, DATASETS)]
    folder = folders.get(entry.key, "")
    if entry.key != "photos_dir" and not (folder and Path(folder).is_dir()):
        raise InputError(f"{name}: folder {folder!r} does not exist; set {entry.key} in local.py")
    read: Callable[[Path], list[Sequence]] = resolve(entry.reader)
    return read(Path(folder))
