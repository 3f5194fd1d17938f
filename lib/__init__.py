"""RGB-T (visible + thermal infrared) single-object tracking: train, run, measure.

`Tracker` is what programs use; it is imported when it is asked for, since PyTorch comes with it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Target, Tracker

__all__ = ["Target", "Tracker"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
