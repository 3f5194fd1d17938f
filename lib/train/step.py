"""A training step as a module, in one process or with gradients averaged over several; preparing its batch."""

import warnings
from typing import Any, cast

import torch
from easydict import EasyDict
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..models.training import Trainable, TrainBatch


class TrainStep(nn.Module):
    """A network's training step as a forward pass, which is what DistributedDataParallel wraps."""

    def __init__(self, model: Trainable):
        super().__init__()
        self.model = model

    def forward(self, batch: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted losses, and figures to log."""
        return self.model.step(batch)


class SharedStep(DistributedDataParallel):
    """The step with gradients averaged over processes, which is its only communication.

    Running statistics are averaged once per epoch, not sent in every step.
    """

    def __init__(self, step: nn.Module):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*broadcast_buffers.*", FutureWarning)  # its successor is too new
            super().__init__(step, broadcast_buffers=False)
        # A 1x1 convolution may report another stride for its one column; that costs no time.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
        self.exchanged = count_learning(step)


def count_learning(module: nn.Module) -> int:
    """Number of parameters that learn."""
    return sum(parameter.requires_grad for parameter in module.parameters())


def wrap_again(step: nn.Module) -> nn.Module:
    """The step, wrapped again if other parameters learn than before, since wrapping fixes which are exchanged."""
    if isinstance(step, SharedStep) and step.exchanged != count_learning(step):
        return SharedStep(cast(nn.Module, step.module))
    return step


def to_device(batch: TrainBatch, device: torch.device, normalize: nn.Module) -> TrainBatch:
    """The batch on the device, images normalised."""
    return batch.apply(lambda part: part.to(device, non_blocking=True)).normalised(normalize)


def autocast(cfg: EasyDict, device: torch.device) -> torch.autocast:
    """Mixed precision of TRAIN.AMP and AMP_DTYPE; always bfloat16 on devices other than CUDA."""
    dtype = getattr(torch, cfg.TRAIN.AMP_DTYPE) if device.type == "cuda" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=cfg.TRAIN.AMP)


def add_total(losses: dict[str, Tensor], figures: dict[str, Tensor]) -> dict[str, Tensor]:
    """All losses and figures by name; first `loss`, the sum of the losses."""
    return {"loss": torch.stack(list(losses.values())).sum(), **losses, **figures}
