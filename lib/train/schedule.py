"""Learning rates by epoch, the warm-up in the first of them, and how many batches make one step."""

import math
from collections.abc import Iterable

from easydict import EasyDict
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR, StepLR

from ..core.distributed import world_size
from ..core.errors import InputError


def build_scheduler(cfg: EasyDict, optimizer: Optimizer) -> LRScheduler:
    """The learning rate by epoch; `step` must be called after each epoch.

    step (the published recipes): divided by ten after every LR_DROP_EPOCH epochs; multistep: after each epoch of
    MILESTONES; cosine: half a cosine from the full rate to FINAL_SHARE of it after EPOCH epochs (SGDR, eq. 5, without
    restarts); log: equal ratios from the full rate, until the warm-up is over, to FINAL_SHARE of it in the last epoch
    (SiamRPN). Raises InputError for milestones that do not ascend and for a log schedule that ends at 0.
    """
    options = cfg.TRAIN.SCHEDULER
    if options.TYPE == "log":
        if options.FINAL_SHARE == 0:
            raise InputError("TRAIN.SCHEDULER.FINAL_SHARE: a log schedule cannot end at 0.0; give for example 0.05")
        start, end = options.WARMUP_EPOCHS, cfg.TRAIN.EPOCH - 1
        return LambdaLR(optimizer, lambda epoch: options.FINAL_SHARE ** _progress(epoch, start, end))
    if options.TYPE == "cosine":
        return LambdaLR(optimizer, lambda epoch: _cosine(epoch / cfg.TRAIN.EPOCH, options.FINAL_SHARE))
    if options.TYPE == "multistep":
        milestones = list(options.MILESTONES)
        if not milestones or sorted(set(milestones)) != milestones:
            raise InputError(
                f"TRAIN.SCHEDULER.MILESTONES: {milestones} are not ascending epochs; give for example [10, 13], "
                "or set TRAIN.SCHEDULER.TYPE to step"
            )
        return MultiStepLR(optimizer, milestones)
    return StepLR(optimizer, cfg.TRAIN.LR_DROP_EPOCH)


def batches_per_step(cfg: EasyDict, batches: int) -> int:
    """How many batches of a process make one step, so that all processes together have GLOBAL_BATCH pairs in it.

    batches: of one epoch in one process. Raises InputError where an epoch has fewer, and where GLOBAL_BATCH is not a
    multiple of BATCH_SIZE times the number of processes.
    """
    wanted, together = cfg.TRAIN.GLOBAL_BATCH, cfg.TRAIN.BATCH_SIZE * world_size()
    if not wanted:
        return 1
    if wanted % together:
        raise InputError(
            f"TRAIN.GLOBAL_BATCH: {wanted} is not a multiple of {together}, which is TRAIN.BATCH_SIZE "
            f"{cfg.TRAIN.BATCH_SIZE} in each of {world_size()} processes; set BATCH_SIZE to a divisor of "
            f"{wanted / world_size():g}, or GLOBAL_BATCH to 0"
        )
    if batches < wanted // together:
        raise InputError(
            f"TRAIN.GLOBAL_BATCH: {wanted} is more than the {batches * together} pairs of an epoch; "
            "raise DATA.TRAIN.SAMPLE_PER_EPOCH"
        )
    return wanted // together


def warm_up(cfg: EasyDict, step: int, steps_per_epoch: int) -> float:
    """The factor of the learning rate in a step: linear from WARMUP_START to 1, then 1. step: from 0, over the run."""
    options = cfg.TRAIN.SCHEDULER
    length = round(options.WARMUP_EPOCHS * steps_per_epoch)
    return options.WARMUP_START + (1 - options.WARMUP_START) * min(1.0, (step + 1) / length) if length else 1.0


def set_rates(optimizer: Optimizer, rates: Iterable[float | Tensor], factor: float) -> None:
    """Set the rate of each parameter group, times a factor."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * factor


def _cosine(progress: float, final_share: float) -> float:
    return final_share + (1 - final_share) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


def _progress(epoch: int, start: float, end: int) -> float:
    """Position of an epoch between two others, in [0, 1]."""
    return min(1.0, max(0.0, epoch - start) / max(1.0, end - start))
