"""Which process this is, and what processes tell each other. A single process needs no set-up."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the other processes when torchrun started this one; leave them at the end, whatever happens."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, 0 for the one that logs and saves."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes work together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """True in the one process that logs and saves."""
    return rank() == 0


def sum_over_processes(values: torch.Tensor) -> torch.Tensor:
    """The element-wise sum of every process's tensor, in all of them."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name: "auto" takes this process's GPU, else Apple's, else the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
