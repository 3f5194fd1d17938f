"""A device that a test without a GPU can use, to see where a program would wait for a GPU.

`meta` tensors have a shape and no values: what needs one on the host (`.item()`, `.cpu()`, a mask as an index) raises
there, as it would wait on a GPU. Copies from the host do not raise; `Copies` finds them.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lib.core import tree

LIB = str(Path(__file__).parents[1] / "lib")
DEVICE = torch.device("meta")


class Copies:
    """Inside `with`: the places in lib that copy values from the host to the device, or back."""

    def __init__(self) -> None:
        self.places: list[str] = []
        self._modes = (_Transfers(self.places), _MadeThere(self.places))

    def __enter__(self) -> "Copies":
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)


class _Transfers(TorchDispatchMode):
    """Tensors that are copied from one device to another."""

    def __init__(self, places: list[str]):
        super().__init__()
        self.places = places

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        kinds = {leaf.device.type for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)}
        if func.overloadpacket.__name__ in ("_to_copy", "copy_") and len(kinds) > 1:
            self.places.append(_place())
        return result


class _MadeThere(TorchFunctionMode):
    """Tensors that are made of Python's numbers on the device; the dispatcher does not see these copies."""

    def __init__(self, places: list[str]):
        super().__init__()
        self.places = places

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = args[1:] if func is Tensor.new_tensor else args
        if func in (torch.tensor, torch.as_tensor, Tensor.new_tensor) and result.device == DEVICE:
            is_there = isinstance(given[0], Tensor) and given[0].device == DEVICE
            self.places += [] if is_there else [_place()]
        return result


def _place() -> str:
    own = [frame for frame in traceback.extract_stack() if frame.filename.startswith(LIB)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else "a test"


@contextmanager
def fake_cuda() -> Iterator[list[str]]:
    """A device "cuda" whose tensors are on the host. Gives what moves between the two, in order: "up" from pinned
    memory without a wait, "up and wait" otherwise, "down"."""
    moves: list[str] = []
    pinned: set[int] = set()
    to, cpu, empty = Tensor.to, Tensor.cpu, torch.empty

    def fake_pin(tensor: Tensor) -> Tensor:
        pinned.add(tensor.data_ptr())
        return tensor

    def fake_to(tensor: Tensor, *args: Any, non_blocking: bool = False, **kwargs: Any) -> Tensor:
        if isinstance(args[0], torch.device) and args[0].type == "cuda":
            moves.append("up" if non_blocking and tensor.data_ptr() in pinned else "up and wait")
            return tensor
        return to(tensor, *args, non_blocking=non_blocking, **kwargs)

    def fake_empty(*size: Any, pin_memory: bool = False, **kwargs: Any) -> Tensor:
        made = empty(*size, **kwargs)
        return fake_pin(made) if pin_memory else made

    def fake_cpu(tensor: Tensor) -> Tensor:
        moves.append("down")
        return cpu(tensor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "to", fake_to)
        patch.setattr(Tensor, "pin_memory", fake_pin)
        patch.setattr(Tensor, "cpu", fake_cpu)
        patch.setattr(torch, "empty", fake_empty)
        patch.setattr(torch.nn.Module, "to", lambda module, *args, **kwargs: module)
        yield moves


class ReusedMemory:
    """A compiled pass of a CUDA graph: every call writes its results to the same tensors."""

    def __init__(self, module: Callable[..., Any]):
        self.module = module
        self.results: Any = None

    def __call__(self, *given: Any) -> Any:
        fresh = self.module(*given)
        if self.results is None:
            self.results = tree.map_tensors(torch.clone, fresh)
        for kept, new in zip(tree.tensors(self.results), tree.tensors(fresh), strict=True):
            kept.copy_(new)
        return self.results
