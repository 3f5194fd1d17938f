"""The rank of this process, the number of processes, and exchanges between them. A single process needs no set-up."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn

from .errors import InputError
from .process import end_with_parent

_PAUSE = 0.5  # seconds


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the process group when torchrun started this process; leave it at the end, also after an error."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    end_with_parent()
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        # Gloo's threads need the GIL to release the tensors of the last exchange, and destroy_process_group waits for
        # these threads while it holds the GIL: without a pause in between this is a deadlock.
        time.sleep(_PAUSE)
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, 0 for the one that logs and saves."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this process is the one that logs and saves."""
    return rank() == 0


def sum_over_processes(values: torch.Tensor) -> torch.Tensor:
    """The element-wise sum of the tensors of all processes, returned in each of them."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def average_buffers(module: nn.Module) -> None:
    """Average the running statistics (the saved floating-point buffers) over all processes."""
    learned = {name for name, _ in module.named_parameters()}
    buffers = [
        value for name, value in module.state_dict().items() if name not in learned and value.is_floating_point()
    ]
    if not buffers or world_size() == 1:
        return
    flat = sum_over_processes(torch.cat([buffer.flatten() for buffer in buffers])) / world_size()
    for buffer, mean in zip(buffers, flat.split([buffer.numel() for buffer in buffers]), strict=True):
        buffer.copy_(mean.view_as(buffer))


def device_types() -> list[str]:
    """Those of "cuda", "mps" and "cpu" that this machine and this PyTorch have, in this order."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [kind for kind, there in present.items() if there]


def choose_device_type(name: str = "auto") -> str:
    """The device type of a name: "cuda", "mps" or "cpu"; for "auto" the first of these that is available.

    Raises InputError for a device that this machine or this PyTorch lacks.
    """
    present = device_types()
    if name == "auto":
        return present[0]
    if name not in present:
        raise InputError(f"--device {name}: this machine or this PyTorch has none; use --device auto")
    return name


def own_device(name: str = "auto") -> torch.device:
    """The device of this process; each process that torchrun started has its own GPU.

    Raises InputError as `choose_device_type`.
    """
    kind = choose_device_type(name)
    if kind == "cuda":
        return use_device(f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}")
    return torch.device(kind)


def use_device(name: str) -> torch.device:
    """The device of a name such as "cuda:1", which PyTorch uses from now on where none is named: otherwise pinned
    memory alone would take some hundred MiB of the first GPU in every process of the others."""
    device = torch.device(name)
    if device.index is not None:
        torch.cuda.set_device(device)
    return device
