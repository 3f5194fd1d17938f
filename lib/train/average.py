"""Weights averaged over steps. They are validated and saved as `net`; training continues with the others."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from easydict import EasyDict
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..models.base import Network
from ..models.weights import load_state


class WeightAverage(AveragedModel):
    """Exponential moving average of the weights, from the first step on; running statistics are copied, since they are
    averages already.

    It computes what `torch.optim.swa_utils.get_ema_multi_avg_fn` does. The original copies its count of steps to the
    device in every step, and so waits until the device has done all its work.
    """

    def __init__(self, model: nn.Module, decay: float):
        super().__init__(model)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the weights of a model into the average."""
        own: Any = list(self.module.parameters())
        new: Any = list(model.parameters())
        if self.n_averaged == 0:
            torch._foreach_copy_(own, new)
        else:
            torch._foreach_lerp_(own, new, 1 - self.decay)
        for kept, current in zip(self.module.buffers(), model.buffers(), strict=True):
            kept.copy_(current)
        self.n_averaged += 1


def build_average(cfg: EasyDict, model: Network) -> AveragedModel | None:
    """The average with EMA_DECAY; None where EMA_DECAY is 0."""
    decay = cfg.TRAIN.EMA_DECAY
    return WeightAverage(model, decay) if decay else None


def load_average(average: AveragedModel, weights: Mapping[str, Tensor]) -> None:
    """Continue the average from saved weights. Raises InputError as `load_state` does."""
    load_state(cast(Network, average.module), weights)
    average.n_averaged.fill_(1)  # at 0 the next weights would replace these
