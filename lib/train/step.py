"""A training step as a module, alone or with the gradients of several processes averaged."""

import warnings
from typing import cast

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..models.base import Batch, Network


class TrainStep(nn.Module):
    """A model's training step as a forward pass, which is what DistributedDataParallel wraps."""

    def __init__(self, model: Network):
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted losses and figures to watch."""
        return self.model.step(batch)


class SharedStep(DistributedDataParallel):
    """The step with gradients averaged over processes: the only collective in it.

    Running statistics are averaged once per epoch instead of sent in every step.
    """

    def __init__(self, step: nn.Module):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*broadcast_buffers.*", FutureWarning)  # its successor is too new
            super().__init__(step, broadcast_buffers=False)
        # A 1x1 convolution's gradient may name its one column's stride otherwise: nothing is slower by it.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
        self.exchanged = count_learning(step)


def count_learning(module: nn.Module) -> int:
    """How many of its parameters learn."""
    return sum(parameter.requires_grad for parameter in module.parameters())


def renew(step: nn.Module) -> nn.Module:
    """The step, wrapped anew where other parameters learn than before: wrapping fixes what is exchanged."""
    if isinstance(step, SharedStep) and step.exchanged != count_learning(step):
        return SharedStep(cast(nn.Module, step.module))
    return step
