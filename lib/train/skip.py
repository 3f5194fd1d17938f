"""What a run tolerates and counts: samples that cannot be read, and steps whose loss or gradient is not finite."""

import logging

import torch
from torch import Tensor

from ..core.errors import InputError

log = logging.getLogger(__name__)

UNREADABLE_SHARE = 0.01  # training stops when more of its samples cannot be read
_UNREADABLE_GRACE = 10  # so many are tolerated before the share counts
_GRACE = 3  # steps, likewise


class Skips:
    """The steps that are left out of one epoch. With a share of 0 no value is checked, so that no step waits for it."""

    def __init__(self, share: float, epoch: int):
        """share: of the epoch's steps that may be left out."""
        self.share, self.epoch = share, epoch
        self.count = self.steps = 0

    def admits(self, loss: Tensor) -> bool:
        """Whether a batch's loss enters the means: all do where no step may be left out, else finite ones."""
        return not self.share or bool(torch.isfinite(loss))

    def allows(self, norm: Tensor) -> bool:
        """Whether a step is made with a gradient of this norm, the same in all processes.

        Raises InputError when more are left out than may be.
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
    """Raise InputError when too many of so many samples could not be read."""
    if unreadable > max(_UNREADABLE_GRACE, UNREADABLE_SHARE * samples):
        raise InputError(
            f"{unreadable} unreadable samples among {samples}, more than {UNREADABLE_SHARE:.0%}; "
            "the log names them: repair the data set"
        )
