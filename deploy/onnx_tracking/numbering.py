"""The order of images by the numbers in their names, and which images of two folders belong together."""

import re
from collections.abc import Sequence
from pathlib import Path

from .errors import InputError

HALF = 0.5  # share of the images of the shorter folder; with fewer shared numbers the numbers are taken for unrelated
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
DIGITS = re.compile(r"(\d+)")
COPY = re.compile(r"(?:copy of )?(.+?)(?: ?\(\d+\)|[ _-]+(?:copy|kopie|copie|copia)(?: ?\(?\d+\)?)?)?")


def list_images(folder: Path) -> list[Path]:
    """The images of a folder in order, by the rules of lib/datasets/numbering.py: numbers are compared as numbers; of
    names that differ in letters the last number decides."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    if not paths:
        raise InputError(f"{folder}: no images; expected {', '.join(suffix[1:] for suffix in SUFFIXES)} files")
    parts = split_names(paths)
    stems = {path.stem.lower() for path in paths}
    for path in paths:
        copied = COPY.fullmatch(path.stem.lower())
        if len(parts[path]) == 1:
            raise InputError(f"{path}: image name holds no frame number; rename or remove it")
        if copied and copied[1] != path.stem.lower() and copied[1] in stems:
            raise InputError(f"{path}: looks like a copy; move it out of the folder")
    numbers = {path: tuple(map(int, part[1::2])) for path, part in parts.items()}
    if len({tuple(part[::2]) for part in parts.values()}) > 1:
        numbers = {path: row[-1:] for path, row in numbers.items()}
    paths.sort(key=lambda path: numbers[path])
    for path, other in zip(paths, paths[1:], strict=False):
        if numbers[path] == numbers[other]:
            raise InputError(f"{path} and {other.name} have the same number; rename one or move it away")
    return paths


def split_names(paths: Sequence[Path]) -> dict[Path, list[str]]:
    """Letters, digits, letters, … of names without their suffixes. Digits behind a decimal point get equally many where
    they are a fraction, as in times in seconds: 12.5 and 12.05, not 1.9 and 1.10."""
    parts = {path: DIGITS.split(path.stem.lower()) for path in paths}
    for k in range(3, max(map(len, parts.values()), default=0), 2):
        after = [split for split in parts.values() if len(split) > k and split[k - 1] == "."]
        if any((split[k][0] == "0" and split[k] != "0") or len(split[k - 2]) > 8 for split in after):
            for split in parts.values():
                if len(split) == k and not split[-1]:
                    split[k - 1 :] = [".", "0", ""]
            width = max(len(split[k]) for split in after)
            for split in parts.values():
                if len(split) > k and split[k - 1] == ".":
                    split[k] = split[k].ljust(width, "0")
    return parts


def number_images(folders: Sequence[list[Path]]) -> list[list[tuple[int, ...]]]:
    """The numbers in the names of the images: the column of them that counts the images, else all that vary."""
    parts = split_names([path for paths in folders for path in paths])
    rows = [[tuple(map(int, parts[path][1::2])) for path in paths] for paths in folders]
    if len({len(row) for part in rows for row in part}) > 1:
        return [[row[-1:] for row in part] for part in rows]
    columns = [[[row[k] for row in part] for part in rows] for k in range(len(rows[0][0]))]
    varying = [column for column in columns if any(len(set(part)) > 1 for part in column)] or columns[-1:]
    counting = [column for column in varying if all(part == sorted(set(part)) for part in column)]
    if counting:
        varying = [min(counting, key=lambda column: max(part[-1] - part[0] for part in column))]
    return [list(zip(*(column[k] for column in varying), strict=True)) for k in range(len(rows))]


def pair(folders: Sequence[list[Path]]) -> Sequence[list[Path]]:
    """Of two folders the images with the same number, by the rules of lib/datasets/matching.py: where the numbers
    differ by one constant, or are times of two clocks, images of folders of equal length are paired in order."""
    first, *others = numbers = number_images(folders)
    if all(second == first for second in others):
        return folders
    second, names = others[0], [str(paths[0].parent) for paths in folders]
    shared, few = set(first) & set(second), HALF * min(len(first), len(second))
    if len(first) == len(second):
        simple = len(first[0]) == len(second[0]) == 1
        shifted = simple and len({one[0] - two[0] for one, two in zip(first, second, strict=True)}) == 1
        regular = simple and all(HALF * (part[-1][0] - part[0][0]) < len(part) for part in numbers)
        if shifted or (not regular and len(shared) < few):
            print(f"{names[0]} and {names[1]}: the numbers differ; the images are paired in order")
            return folders
    if len(shared) < few:
        raise InputError(
            f"{', '.join(names)}: {len(shared)} numbers are in both; give images of one moment the same one"
        )
    found = f"{names[0]} has {len(first)} images, {names[1]} {len(second)}"
    print(f"{found}; only the {len(shared)} with a number that is in both are used")
    pairs = zip(folders, numbers, strict=True)
    return [[path for path, number in zip(*part, strict=True) if number in shared] for part in pairs]
