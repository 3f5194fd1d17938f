"""Values from memory to a device, without a wait."""

import numpy as np
import torch
from torch import Tensor


def upload(values: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """The values as a tensor on the device.

    They go to a GPU from pinned memory, in the order of its work: a copy from ordinary memory waits until the GPU has
    done all that it was given before. PyTorch does not use the pinned memory again before the copy has ended.
    """
    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
