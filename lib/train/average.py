"""Weights averaged over steps: they are validated and saved as `net`, and training goes on with the others."""

from collections.abc import Mapping
from typing import cast

from easydict import EasyDict
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..models.base import Network
from ..models.weights import load_state


def build_average(cfg: EasyDict, model: Network) -> AveragedModel | None:
    """Exponential moving average with EMA_DECAY, from the weights after the first step on; None where it is 0.

    Running statistics are not averaged but copied: they are averages already.
    """
    decay = cfg.TRAIN.EMA_DECAY
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None


def load_average(average: AveragedModel, weights: Mapping[str, Tensor]) -> None:
    """Go on averaging from saved weights. Raises InputError as `load_state`."""
    load_state(cast(Network, average.module), weights)
    average.n_averaged.fill_(1)  # the next weights are mixed in; at 0 they would replace these
