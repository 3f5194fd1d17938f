"""Learning rates by epoch, the warm-up in the first of them, and how many batches make one step."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from easydict import EasyDict
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR, StepLR

from ..core.distributed import world_size
from ..core.errors import InputError


def build_scheduler(cfg: EasyDict, optimizer: Optimizer) -> LRScheduler:
    """The learning rate by epoch; `step` must be called after each epoch.

    step (the published recipes): divided by ten after every LR_DROP_EPOCH epochs; multistep: after each epoch of
    MILESTONES, or times the one value of GAMMAS where there is one (Alpha-Refine, DiMP); cosine: half a cosine from the
    full rate to FINAL_SHARE of it after EPOCH epochs (SGDR, eq. 5, without restarts); log: equal ratios from the full
    rate, until the warm-up is over, to FINAL_SHARE of it in the last epoch (SiamRPN); exp: times one of GAMMAS after
    each epoch, the next of them from each of MILESTONES on (SiamDMA); constant. Raises InputError for milestones that
    do not ascend, for a number of gammas that does not fit them, for a log schedule that ends at 0 and for a warm-up in
    equal ratios that begins there.
    """
    options = cfg.TRAIN.SCHEDULER
    if options.WARMUP == "exp" and options.WARMUP_EPOCHS and not options.WARMUP_START:
        raise InputError("TRAIN.SCHEDULER.WARMUP_START: equal ratios cannot begin at 0.0; give for example 0.1")
    if options.TYPE == "log":
        if options.FINAL_SHARE == 0:
            raise InputError("TRAIN.SCHEDULER.FINAL_SHARE: a log schedule cannot end at 0.0; give for example 0.05")
        start, end = options.WARMUP_EPOCHS, cfg.TRAIN.EPOCH - 1
        return LambdaLR(optimizer, lambda epoch: options.FINAL_SHARE ** _progress(epoch, start, end))
    if options.TYPE == "cosine":
        return LambdaLR(optimizer, lambda epoch: _cosine(epoch / cfg.TRAIN.EPOCH, options.FINAL_SHARE))
    if options.TYPE == "multistep":
        if len(options.GAMMAS) > 1:
            raise InputError(
                f"TRAIN.SCHEDULER.GAMMAS: {len(options.GAMMAS)} factors for a multistep schedule; give one, or none "
                "for a tenth"
            )
        return MultiStepLR(optimizer, _milestones(options), gamma=(list(options.GAMMAS) or [0.1])[0])
    if options.TYPE == "exp":
        milestones, gammas = _milestones(options) if options.MILESTONES else [], list(options.GAMMAS)
        if len(gammas) != len(milestones) + 1:
            raise InputError(
                f"TRAIN.SCHEDULER.GAMMAS: {len(gammas)} factors for {len(milestones)} milestones; give one more than "
                "TRAIN.SCHEDULER.MILESTONES has epochs"
            )
        return LambdaLR(optimizer, lambda epoch: _product(epoch, milestones, gammas))
    if options.TYPE == "constant":
        return LambdaLR(optimizer, lambda epoch: 1.0)
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
    """The factor of the learning rate in a step, from WARMUP_START to 1, then 1. step: from 0, over the run.

    linear: even; exp: in equal ratios; cosine: along half a cosine; constant: WARMUP_START until the warm-up is over.
    With WARMUP_EVERY `epoch` all steps of an epoch have the factor of its beginning, and the first has WARMUP_START.
    """
    options = cfg.TRAIN.SCHEDULER
    if options.WARMUP_EVERY == "epoch":
        done, length = float(step // steps_per_epoch), options.WARMUP_EPOCHS
    else:
        done, length = step + 1.0, round(options.WARMUP_EPOCHS * steps_per_epoch)
    if not length:
        return 1.0
    progress, start = min(1.0, done / length), options.WARMUP_START
    if options.WARMUP == "exp":
        return start ** (1 - progress)
    if options.WARMUP == "constant":
        return start if progress < 1 else 1.0
    if options.WARMUP == "cosine":
        progress = (1 - math.cos(math.pi * progress)) / 2
    return start + (1 - start) * progress


def set_rates(optimizer: Optimizer, rates: Iterable[float | Tensor], factor: float) -> None:
    """Set the rate of each parameter group, times a factor."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * factor


def _milestones(options: EasyDict) -> list[int]:
    """Raises InputError for none, and for milestones that do not ascend."""
    milestones = list(options.MILESTONES)
    if not milestones or sorted(set(milestones)) != milestones:
        raise InputError(
            f"TRAIN.SCHEDULER.MILESTONES: {milestones} are not ascending epochs; give for example [10, 13], "
            "or set TRAIN.SCHEDULER.TYPE to step"
        )
    return milestones


def _product(epoch: int, milestones: Sequence[int], gammas: Sequence[float]) -> float:
    """The product of the factors after each of the first `epoch` epochs."""
    return math.prod(gammas[bisect_right(milestones, done)] for done in range(1, epoch + 1))


def _cosine(progress: float, final_share: float) -> float:
    return final_share + (1 - final_share) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


def _progress(epoch: int, start: float, end: int) -> float:
    """Position of an epoch between two others, in [0, 1]."""
    return min(1.0, max(0.0, epoch - start) / max(1.0, end - start))
