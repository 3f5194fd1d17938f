"""Names from files and command lines that become names of files."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from .errors import InputError

_PARTS = re.compile(r"[/\\]")


def check_name(name: str, what: str) -> str:
    """`name`, which may hold folders, as a path below the folder where it is used.

    what: whose name it is, for the message. Raises InputError for a name that leads elsewhere or that no file can have.
    """
    parts = _PARTS.split(name)
    if any(part.strip() in ("", ".", "..") for part in parts) or ":" in parts[0] or not name.isprintable():
        raise InputError(f"{what} {name!r} cannot be the name of a file; give it another one")
    return name


def check_distinct(names: Iterable[str], folder: str | Path) -> None:
    """Raises InputError for two names that are one in a folder whose file system ignores case, as `Walk` and `walk` on
    Windows and macOS; files named by them would overwrite each other."""
    if not ignores_case(folder):
        return
    known: dict[str, str] = {}
    for name in sorted(set(names)):
        other = known.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise InputError(
                f"{other} and {name}: would be one file in {folder}, where upper and lower case are the same; rename "
                "the folder of one of the sequences, or choose a folder on a file system that tells them apart"
            )


def ignores_case(folder: str | Path) -> bool:
    """Whether the file system of a folder, which may not exist yet, takes upper and lower case for the same."""
    path = Path(folder).resolve()
    for place in (path, *path.parents):
        other = place.with_name(place.name.swapcase()) if place.name else place
        if other.name != place.name and place.exists():
            return other.exists() and other.samefile(place)
    return False
