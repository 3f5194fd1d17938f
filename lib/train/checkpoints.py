"""The checkpoints of epochs in a folder, by their names."""

import re
from pathlib import Path

_EPOCH = re.compile(r"_ep(\d+)\.pth\.tar$")


def epoch_of(path: Path) -> int:
    """The epoch of a checkpoint; 0 for a file with another name.

    >>> epoch_of(Path("IIMFTrack_ep0015.pth.tar"))
    15
    """
    found = _EPOCH.search(path.name)
    return int(found[1]) if found else 0


def epoch_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of epochs in a folder, the latest first."""
    return sorted((path for path in folder.glob("*_ep*.pth.tar") if _EPOCH.search(path.name)), key=_order, reverse=True)


def find_newest(folder: Path) -> Path | None:
    """The checkpoint of the latest epoch in a folder; None where there is none."""
    return next(iter(epoch_checkpoints(folder)), None)


def _order(path: Path) -> tuple[int, str]:
    return epoch_of(path), path.name
