"""The order of a folder's images, and the numbers in their names.

Names are compared part by part, numbers as numbers: img9 < img10, 10-59-56 < 11-00-00, 0001_640x480 < 0002_640x480.
Where letters instead of numbers would decide, the last number of each name does.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from os.path import splitext
from pathlib import Path

from ..core.errors import InputError

log = logging.getLogger(__name__)

Number = tuple[int, ...]  # a frame's number, or the parts of its time: hour, minute, second

DIGITS = re.compile(r"(\d+)")
MASK = str.maketrans("123456789", "000000000")
COPY = re.compile(r"(?:copy of )?(.+?)(?: ?\(\d+\)|[ _-]+(?:copy|kopie|copie|copia)(?: ?\(?\d+\)?)?)?")


def sort_images(folder: str | Path, names: Iterable[str]) -> list[str]:
    """The names of a folder's images in the order of the frames. Raises InputError for a name without a number, for two
    images with one number, and for copies such as `v000103 (1).jpg`."""
    listed = sorted(names)
    if len({name.translate(MASK) for name in listed}) == 1 and DIGITS.search(splitext(listed[0])[0]):
        return listed  # leading zeros make all numbers equally long, as in almost all data sets
    parts = {name: _split(name) for name in listed}
    for name, split in parts.items():
        if len(split) == 1:
            raise InputError(f"{Path(folder) / name}: image name holds no frame number; rename or remove it")
    _pad_fractions(parts)
    order = sorted(parts, key=lambda name: [part if k % 2 == 0 else int(part) for k, part in enumerate(parts[name])])
    if all(_number_decides(parts[one], parts[two]) for one, two in zip(order, order[1:], strict=False)):
        return order
    _refuse_copies(folder, order)
    last = {name: int(split[-2]) for name, split in parts.items()}
    order.sort(key=lambda name: last[name])
    for name, other in zip(order, order[1:], strict=False):
        if last[name] == last[other]:
            raise InputError(f"{folder}: {name} and {other} are both frame {last[name]}; rename one or move it away")
    if any(len(split) > 3 for split in parts.values()):
        kinds = {re.sub(r"\d+", "#", name): name for name in reversed(order)}
        shown = " and ".join(list(kinds.values())[:-3:-1])
        log.warning("%s: names of different kinds (%s); the last number of each is taken as its frame", folder, shown)
    return order


def number_streams(streams: Sequence[Sequence[str]]) -> list[list[Number]]:
    """The number of each image of one or more folders, whose names are in order: of the column of numbers that counts
    the images. Where no single column does, as in 10-59-56, all columns that vary."""
    parts = {name: _split(name) for names in streams for name in names}
    _pad_fractions(parts)
    rows: list[list[Number]] = [[tuple(map(int, parts[name][1::2])) for name in names] for names in streams]
    widths = {len(row) for stream in rows for row in stream}
    if len(widths) != 1:
        return [[row[-1:] for row in stream] for stream in rows]
    columns = [[[row[k] for row in stream] for stream in rows] for k in range(widths.pop())]
    varying = [column for column in columns if any(len(set(part)) > 1 for part in column)] or columns[-1:]
    counting = [column for column in varying if all(_counts(part) for part in column)]
    if counting:
        varying = [min(counting, key=lambda column: max(part[-1] - part[0] for part in column if part))]
    return [list(zip(*(column[k] for column in varying), strict=True)) for k in range(len(streams))]


def _counts(numbers: Sequence[int]) -> bool:
    return all(one < two for one, two in zip(numbers, numbers[1:], strict=False))


def _split(name: str) -> list[str]:
    """Letters, digits, letters, … of a name without its suffix: v01a.jpg -> v, 01, a."""
    return DIGITS.split(splitext(name)[0].lower())


def _pad_fractions(parts: dict[str, list[str]]) -> None:
    """Where the digits behind a decimal point differ in count, as in 12.5 and 12.25, make them comparable as numbers.

    They are a fraction if one of them begins with 0 (12.05), or if what is before the point is a time in seconds; else
    they are counted, as in 1.9 and 1.10.
    """
    widths: dict[int, set[int]] = {}
    fractions = set()
    for split in parts.values():
        for k in range(2, len(split) - 1, 2):
            if split[k] == ".":
                widths.setdefault(k + 1, set()).add(len(split[k + 1]))
                if (split[k + 1][0] == "0" and split[k + 1] != "0") or len(split[k - 1]) > 8:
                    fractions.add(k + 1)
    for k in fractions:
        if len(widths[k]) > 1 or any(len(split) == k for split in parts.values()):
            for split in parts.values():
                if len(split) == k and not split[-1]:
                    split[k - 1 :] = [".", "0", ""]
                if len(split) > k and split[k - 1] == ".":
                    split[k] = split[k].ljust(max(widths[k]), "0")


def _number_decides(one: Sequence[str], two: Sequence[str]) -> bool:
    """Whether the first parts that differ are numbers, so that the order of two names is clear."""
    for k, (part, other) in enumerate(zip(one, two, strict=False)):
        if part != other and (k % 2 == 0 or int(part) != int(other)):
            return k % 2 == 1
    return False


def _refuse_copies(folder: str | Path, names: Sequence[str]) -> None:
    """Raises InputError for a name that a file manager gives to a copy of another image of the folder."""
    stems = {splitext(name)[0].lower(): name for name in names}
    for stem, name in stems.items():
        match = COPY.fullmatch(stem)
        if match is not None and match[1] != stem and match[1] in stems:
            raise InputError(f"{folder}: {name} looks like a copy of {stems[match[1]]}; move it out of the folder")
