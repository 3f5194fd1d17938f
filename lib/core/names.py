"""Names from files and command lines that become names of files."""

import re

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
