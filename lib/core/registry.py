"""Tables of names: checking a name, and importing its object only when it is needed."""

import difflib
import importlib
from collections.abc import Iterable
from typing import Any

from .errors import InputError

_SHOWN = 20  # names that fit one line of an error
_BEGUN = 3  # names that begin as a shorter one does; where there are more, the nearest is better


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """The one of `known` that equals `name`, ignoring case. Raises InputError that suggests the nearest name.

    >>> choose("data set", "LasHeR_test", ["lasher_test", "gtot"])
    'lasher_test'
    """
    names = {candidate.lower(): candidate for candidate in known}
    if name.lower() in names:
        return names[name.lower()]
    near = [known for known in names if name and known.startswith(name.lower())]
    if not 0 < len(near) <= _BEGUN:
        near = difflib.get_close_matches(name.lower(), names, n=1)
    shown = sorted(names.values())
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    meant = " or ".join(names[one] for one in near)
    hint = f"did you mean {meant}?" if near else f"known: {', '.join(shown[:_SHOWN])}{more}"
    raise InputError(f"{kind} {name!r} is unknown; {hint}")


def resolve(address: str, package: str) -> Any:
    """The object at ".module:Name" of a package, which is given as its `__package__`."""
    module, name = address.split(":")
    return getattr(importlib.import_module(module, package), name)
