"""Reading pickled torch files as data: tensors and plain containers are loaded, and no code of the file runs."""

import importlib
import pickle
import types
from pathlib import Path
from typing import Any

import torch

_SAFE = {
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "complex"),
    ("builtins", "bytearray"),
    ("_codecs", "encode"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch.serialization", "_get_layout"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class Placeholder:
    """Stands for an object of a class that is not allowed; it only keeps the object's state."""

    def __init__(self, *args: Any, **kwargs: Any):
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """For pickled subclasses of dict."""

    def append(self, item: Any) -> None:
        """For pickled subclasses of list."""

    def extend(self, items: Any) -> None:
        """For pickled subclasses of list."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)  # Python 2 files
        known = (module, name) in _SAFE
        if module == "torch" and (name.endswith("Storage") or isinstance(getattr(torch, name, None), torch.dtype)):
            known = True
        return getattr(importlib.import_module(module), name) if known else Placeholder


def load_pickled(path: Path) -> Any:
    """The content of a file written by torch.save, on the CPU.

    Raises the errors of torch and pickle for a truncated or foreign file.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_restricted_pickle())


def _restricted_pickle() -> types.ModuleType:
    """A replacement for the pickle module, as torch.load expects one."""
    module = types.ModuleType("restricted_pickle")
    module.Unpickler = _Unpickler  # type: ignore[attr-defined]
    module.UnpicklingError = pickle.UnpicklingError  # type: ignore[attr-defined]
    module.load = lambda file, **options: _Unpickler(file, **options).load()  # type: ignore[attr-defined]
    return module
