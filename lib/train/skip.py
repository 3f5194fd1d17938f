"""Faults that a run tolerates up to a limit: unreadable samples, and steps whose loss or gradient is not finite."""

import logging

import torch
from torch import Tensor

from ..core.errors import InputError

log = logging.getLogger(__name__)

UNREADABLE_SHARE = 0.01  # training stops when more of its samples cannot be read
_UNREADABLE_GRACE = 10  # samples that are always tolerated
_GRACE = 3  # steps that are always tolerated


class Skips:
    """Counts the steps that one epoch leaves out. With a share of 0 nothing is checked, so that no step waits."""

    def __init__(self, share: float, epoch: int):
        """share: largest share of the epoch's steps that may be left out."""
        self.share, self.epoch = share, epoch
        self.count = self.steps = 0

    def admits(self, loss: Tensor) -> bool:
        """Whether the loss of a batch enters the means: any where no step may be left out, else finite ones."""
        return not self.share or bool(torch.isfinite(loss))

    def allows(self, norm: Tensor) -> bool:
        """Whether the step is made; norm: of its gradient, the same in all processes.

        Raises InputError where more steps are left out than allowed.
        """
        if not self.share:
            return True
        self.steps += 1
        if bool(torch.isfinite(norm)):
            return True
        self.count += 1
        log.warning("epoch %d, step %d: loss or gradient is not finite; the step is left out", self.epoch, self.steps)
        if self.count > max(_GRACE, self.share * self.steps):
            raise InputError(
                f"{self.count} of {self.steps} steps of epoch {self.epoch} have a loss or gradient that is not finite; "
                "lower TRAIN.LR; the last checkpoint is kept"
            )
        return False


def check_unreadable(unreadable: int, samples: int) -> None:
    """Raise InputError where too many samples could not be read. samples: number of all."""
    if unreadable > max(_UNREADABLE_GRACE, UNREADABLE_SHARE * samples):
        raise InputError(
            f"{unreadable} unreadable samples among {samples}, more than {UNREADABLE_SHARE:.0%}; "
            "the log names them: repair the data set"
        )
