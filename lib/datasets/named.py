"""The sequences that a command names: a data set by its name, or a folder of sequences."""

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many

from ..core.errors import InputError
from ..core.registry import choose
from . import DATASETS, load_dataset
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
    if data_dir:
        return load_dataset(name, {DATASETS[choose("data set", name, DATASETS)].key: data_dir})
    return load_dataset(name, local())
