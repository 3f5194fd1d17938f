"""Arithmetic that stays in the precision of its tensors under mixed precision."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def own_precision(tensor: Tensor) -> AbstractContextManager[Any]:
    """Inside it autocast is off on the device of a tensor. Graphs and tensors without values (device "meta", which has
    no autocast) see nothing of it where it is off anyway."""
    device = tensor.device.type
    if device == "meta" or not torch.is_autocast_enabled(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32, or in float64 where it has that."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
