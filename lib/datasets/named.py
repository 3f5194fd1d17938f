"""The sequences that a command names: a data set by its name, or a folder of sequences."""

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many
from pathlib import Path

from ..core.errors import InputError
from . import folders_of, load_dataset
from .readers.folder import read_folder
from .sequence import Sequence

FOLDER = "folder"


def open_dataset(name: str, data_dir: str | None, local: Callable[[], Mapping[str, str]]) -> Many[Sequence]:
    """The sequences of `--dataset_name` and `--data_dir`; local: reads the folders of local.py where they are needed.

    Raises InputError as the readers do.
    """
    if name.lower() == FOLDER:
        if not data_dir:
            raise InputError("--dataset_name folder needs --data_dir DIR, a folder of sequences")
        return read_folder(data_dir)
    return load_dataset(name, folders_of(name, data_dir, local))


def data_name(name: str, data_dir: str | None) -> str:
    """What records call the data of `--dataset_name` and `--data_dir`: the name of the set or, for a folder, its path
    ("" where it is not given)."""
    if name.lower() == FOLDER:
        return str(Path(data_dir).resolve()) if data_dir else ""
    return name.lower()
