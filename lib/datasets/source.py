"""Where the folder of a data set was set, for messages: readers know no more of the file than `local.py`."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..core.errors import InputError
from ..core.paths import SOURCE

OPTION = "--data_dir"  # as SOURCE, where the folder is from the command line

_FILE = re.compile(r"(?<![\w/\\.])local\.py")
_SET = re.compile(r"set \w+_dir in local\.py")


@contextmanager
def naming_source(folders: Mapping[str, str]) -> Iterator[None]:
    """In this context an InputError names the file that `folders` are from by its path; the option in its place."""
    try:
        yield
    except InputError as error:
        source, text = folders.get(SOURCE, "local.py"), str(error)
        if source == OPTION:
            text = _SET.sub(f"correct {OPTION}", text)
        raise InputError(_FILE.sub(lambda _: source, text)) from None
