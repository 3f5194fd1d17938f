"""A progress bar over the batches of an epoch, where somebody sees it."""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from .distributed import is_main
from .process import TERMINAL

_Item = TypeVar("_Item")


def show_progress(items: Iterable[_Item], total: int, what: str) -> Iterator[_Item]:
    """The items, with a bar while they are taken; only the main process shows it, and only on a terminal."""
    if not is_main() or not (sys.stderr.isatty() or TERMINAL in os.environ):
        yield from items
        return
    with logging_redirect_tqdm(), tqdm(items, what, total, leave=False, unit="batch") as bar:
        yield from bar
