"""Weights averaged over steps. They are validated and saved as `net`; training continues with the others."""

from collections.abc import Mapping
from typing import cast

from easydict import EasyDict
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..models.base import Network
from ..models.weights import load_state


def build_average(cfg: EasyDict, model: Network) -> AveragedModel | None:
    """Exponential moving average of the weights with EMA_DECAY, from the first step on; None where EMA_DECAY is 0.

    Running statistics are copied, not averaged: they are averages already.
    """
    decay = cfg.TRAIN.EMA_DECAY
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None


def load_average(average: AveragedModel, weights: Mapping[str, Tensor]) -> None:
    """Continue the average from saved weights. Raises InputError as `load_state` does."""
    load_state(cast(Network, average.module), weights)
    average.n_averaged.fill_(1)  # at 0 the next weights would replace these
