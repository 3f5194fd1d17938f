"""Attributes of sequences from folders of flag files, as in the kits of LasHeR, RGBT234 and GTOT."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ...core.errors import InputError
from ...core.words import counted
from ...datasets.annotation import SEPARATOR, read_flags, read_lines
from ...datasets.readers import gtot
from ...datasets.readers.lasher import ATTRIBUTES
from .leaderboard import ScoredSequence, shortened

ORDER = "attributes_order.txt"  # names in the order of the flags, beside the flag files or one folder up
NAMES = "SequencesName.txt"  # RGBT234's and RGBT210's: the order of the rows in one file per attribute


def read_attributes(folder: str | Path) -> dict[str, frozenset[str]]:
    """Sequence -> its attributes, from `<sequence>.txt` with one flag per attribute (LasHeR; named by
    attributes_order.txt, else LasHeR's 19), from `<ATTRIBUTE>.txt` with one flag per sequence (RGBT234) or from
    AttrMat.mat (GTOT).

    Raises InputError for a folder without flags and for a file with another number of flags than names.
    """
    root = Path(folder)
    if (root / gtot.ATTRIBUTES).is_file():
        known = gtot.read_attributes(root / gtot.ATTRIBUTES)
        return {name: frozenset(key for key, there in flags.items() if there) for name, flags in known.items()}
    paths = {path.stem: path for path in sorted(root.glob("*.txt")) if path.name not in (ORDER, NAMES)}
    if not paths:
        raise InputError(f"--attributes {root}: no <sequence>.txt, <ATTRIBUTE>.txt or AttrMat.mat there")
    if (root / NAMES).is_file():
        names = [name for name in read_lines(root / NAMES) if name]
        flags = {attribute: _read(path, names) for attribute, path in paths.items()}
        return {name: frozenset(key for key, there in flags.items() if name in there) for name in names}
    order = _order(root)
    return {name: _read(path, order) for name, path in paths.items()}


def with_attributes(videos: Iterable[ScoredSequence], folder: str | Path) -> list[ScoredSequence]:
    """The videos with the attributes of a folder instead of their own. Raises InputError as `read_attributes` does,
    and when a video has no flags."""
    known = read_attributes(folder)
    videos = list(videos)
    lacking = [video.name for video in videos if video.name not in known]
    if lacking:
        count = counted(len(lacking), "sequence")
        raise InputError(f"--attributes {folder}: no flags for {count}: {shortened(lacking)}")
    return [replace(video, attributes=known[video.name]) for video in videos]


def _read(path: Path, names: list[str]) -> frozenset[str]:
    flags = read_flags(path)
    if len(flags) != len(names):
        raise InputError(f"{path}: {len(flags)} flags for {len(names)} names")
    return frozenset(name for name, there in zip(names, flags, strict=True) if there)


def _order(root: Path) -> list[str]:
    for path in (root / ORDER, root.parent / ORDER):
        if path.is_file():
            return [name for name in SEPARATOR.split(" ".join(read_lines(path))) if name]
    return list(ATTRIBUTES)
