"""RGB-T (visible + thermal infrared) single-object tracking: train, run, measure.

`Tracker` is what programs use; it is imported when it is asked for, since PyTorch comes with it.
"""

from typing import TYPE_CHECKING, Any

from .core import interpreter
from .core.registry import resolve

if TYPE_CHECKING:
    from .api import Target, Tracker
    from .core.errors import InputError

interpreter.report_missing()

__all__ = ["InputError", "Target", "Tracker"]

_PLACES = {"InputError": ".core.errors:InputError", "Target": ".api:Target", "Tracker": ".api:Tracker"}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return resolve(_PLACES[name], __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
