"""The training loop."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from ..core.distributed import average_buffers, is_main, rank, sum_over_processes
from ..core.errors import InputError
from ..layers.lora import merged_state
from ..models.base import Batch, Network
from .archive import Archive
from .average import load_average
from .board import Board
from .copies import Copies
from .data.loader import Sample, read_batches
from .meters import Clock, Means, format_duration
from .picture import draw_pairs
from .schedule import batches_per_step, set_rates, warm_up
from .skip import Skips, check_unreadable
from .step import renew

log = logging.getLogger(__name__)

_PICTURED = 4  # pairs of a validation that TensorBoard shows


@dataclass
class Trainer:
    """Everything that a run consists of. `run` is the loop; `state` and `restore` are what survives an interruption."""

    cfg: EasyDict
    model: Network
    step: nn.Module  # TrainStep(model), wrapped where several processes train
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler
    train_loader: DataLoader[Sample]
    val_loader: DataLoader[Sample] | None
    checkpoints: Path  # folder
    board: Board | None  # in the main process
    device: torch.device
    average: AveragedModel | None = None  # of the weights, over steps
    copies: Copies | None = None  # of the checkpoints
    epoch: int = 0  # epochs done

    def __post_init__(self) -> None:
        """Raises InputError where GLOBAL_BATCH does not fit."""
        self.parts = batches_per_step(self.cfg, len(self.train_loader))  # batches whose gradients make one step
        self.steps = len(self.train_loader) // self.parts  # of one epoch

    @property
    def result(self) -> Network:
        """What is validated and tracked with: the averaged network where there is one."""
        return self.model if self.average is None else cast(Network, self.average.module)

    def run(self) -> None:
        """Train from the epoch after `self.epoch` to the last."""
        archive = None
        if is_main():
            archive = Archive(self.checkpoints, self.cfg, fresh=self.epoch == 0, copies=self.copies)
        for epoch in range(self.epoch + 1, self.cfg.TRAIN.EPOCH + 1):
            self.model.set_epoch(epoch)
            self.step = renew(self.step)
            self.train_epoch(epoch)
            set_rates(self.optimizer, self.scheduler.get_last_lr(), 1.0)  # the schedule knows nothing of the warm-up
            self.scheduler.step()
            average_buffers(self.model)
            if self.average is not None:
                average_buffers(self.average.module)
            self.epoch = epoch
            last = epoch == self.cfg.TRAIN.EPOCH
            if self.val_loader is not None and (last or epoch % self.cfg.TRAIN.VAL_EPOCH_INTERVAL == 0):
                means = self.validate(epoch, self.val_loader)
                if archive and "iou" in means:
                    best = {"net": merged_state(self.result), "network": self.cfg.MODEL.NAME, "epoch": epoch}
                    archive.add_if_best(self.path("best"), best, means["iou"])
            if archive and (last or epoch % self.cfg.TRAIN.SAVE_EPOCH_INTERVAL == 0):
                archive.add(self.path(f"ep{epoch:04d}"), self.state())

    def train_epoch(self, epoch: int) -> None:
        """One pass over this process's samples."""
        self.step.train()
        seed_epoch(self.cfg.TRAIN.SEED, epoch)
        self.train_loader.sampler.epoch = epoch  # type: ignore[attr-defined]
        rates = self.scheduler.get_last_lr()
        batches = self.steps * self.parts
        means, clock, unreadable = Means(), Clock(batches * (self.cfg.TRAIN.EPOCH - epoch + 1)), 0
        skips = Skips(self.cfg.TRAIN.SKIP_SHARE, epoch)
        self.optimizer.zero_grad(set_to_none=True)
        for number, sample in enumerate(islice(read_batches(self.train_loader), batches), start=1):
            clock.data_ready()
            unreadable += int(sample.unreadable.sum())  # type: ignore[attr-defined]
            steps, rest = divmod(number, self.parts)
            values = self.gather_gradients(self.to_device(sample.batch), complete=rest == 0)
            if skips.admits(values["loss"]):
                means.update(values, len(sample.batch.search))
            if rest == 0:
                done = (epoch - 1) * self.steps + steps - 1
                set_rates(self.optimizer, rates, warm_up(self.cfg, done, self.steps))
                self.update_weights(skips)
            clock.step_done(len(sample.batch.search))
            if rest == 0 and (steps % self.cfg.TRAIN.PRINT_INTERVAL == 0 or steps == self.steps):
                self.report("train", epoch, steps, means, clock)
                check_unreadable(unreadable, clock.pairs)

    def gather_gradients(self, batch: Batch, *, complete: bool) -> dict[str, Tensor]:
        """Add a batch's share of its step's gradients; complete: the step's last batch, whose gradients are exchanged.

        A share is the batch's mean loss over the number of parts, so that the parts together weigh as one large batch.
        """
        waits = isinstance(self.step, DistributedDataParallel) and not complete
        with self.step.no_sync() if waits else nullcontext():  # type: ignore[operator]
            with self.autocast():
                losses, figures = self.step(batch)
            total = torch.stack(list(losses.values())).sum()
            self.scaler.scale(total / self.parts).backward()
        return {"loss": total, **losses, **figures}

    def update_weights(self, skips: Skips) -> None:
        """One step of the optimizer, unless it is to be left out."""
        self.scaler.unscale_(self.optimizer)  # so that clipping sees the true gradients
        limit = self.cfg.TRAIN.GRAD_CLIP_NORM or torch.inf
        if limit < torch.inf or skips.share:
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit)
            if not skips.allows(norm):
                self.scaler.update()
                self.optimizer.zero_grad(set_to_none=True)
                return
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.model)

    @torch.no_grad()
    def validate(self, epoch: int, loader: DataLoader[Sample]) -> dict[str, float]:
        """The mean losses and figures over the validation pairs, which are the same at every call; all processes'."""
        self.result.eval()
        means, clock = Means(), Clock(len(loader))
        for number, sample in enumerate(read_batches(loader)):
            clock.data_ready()
            batch = self.to_device(sample.batch)
            with self.autocast():
                losses, figures = self.result.step(batch)
                if number == 0 and self.board is not None:
                    some = [pairs.apply(lambda part: part[:_PICTURED]) for pairs in (sample.batch, batch)]
                    grid = draw_pairs(self.result, *some)
                    self.board.add_image("val/pairs", grid, epoch * self.steps, dataformats="HWC")
            means.update({"loss": torch.stack(list(losses.values())).sum(), **losses, **figures}, len(batch.search))
            clock.step_done(len(batch.search))
        means.take(sum_over_processes(means.as_tensor(self.device)))
        self.report("val", epoch, len(loader), means, clock)
        return means.read()

    def report(self, stage: str, epoch: int, number: int, means: Means, clock: Clock) -> None:
        """One line on the console and in the log; scalars on TensorBoard. Stops a run whose loss is not a number."""
        values, speed = means.read(), clock.read()
        steps = self.steps if stage == "train" or self.val_loader is None else len(self.val_loader)
        if not np.isfinite(values.get("loss", 0.0)):  # there is none while every step was left out
            raise InputError(
                f"loss is {values['loss']} in epoch {epoch}, step {number}; lower TRAIN.LR, or switch TRAIN.AMP off; "
                "the last checkpoint is kept"
            )
        if self.board is None:
            return
        figures = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        times = f"{speed['pairs_per_s']:.1f} pairs/s  data {speed['data_wait']:.0%}"
        if stage == "train":
            times += f"  to go {format_duration(speed['eta_s'])}"
        where = f"{stage:5} epoch {epoch}/{self.cfg.TRAIN.EPOCH}  step {number}/{steps}"
        log.info("%s  %s  %s", where, figures, times)
        progress = (epoch - 1) * self.steps + (number if stage == "train" else self.steps)
        scalars = {**values, "pairs_per_s": speed["pairs_per_s"], "data_wait": speed["data_wait"]}
        if self.device.type == "cuda":
            scalars["gpu_memory_gib"] = torch.cuda.max_memory_allocated(self.device) / 2**30
        for index, group in enumerate(self.optimizer.param_groups):
            scalars[f"lr_{index}"] = group["lr"]
        for name, value in scalars.items():
            self.board.add_scalar(f"{stage}/{name}", value, progress)
        self.board.flush()

    def to_device(self, batch: Batch) -> Batch:
        """The batch on the device, images normalised."""
        moved = batch.apply(lambda part: part.to(self.device, non_blocking=True))
        return moved._replace(template=self.model.normalize(moved.template), search=self.model.normalize(moved.search))

    def autocast(self) -> torch.autocast:
        """Mixed precision as configured; does nothing where it is off."""
        dtype = getattr(torch, self.cfg.TRAIN.AMP_DTYPE) if self.device.type == "cuda" else torch.bfloat16
        return torch.autocast(self.device.type, dtype, enabled=self.cfg.TRAIN.AMP)

    def path(self, which: str) -> Path:
        """Where a checkpoint lies: `<Name>_ep0015.pth.tar` for which = "ep0015"."""
        return self.checkpoints / f"{type(self.model).__name__}_{which}.pth.tar"

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on; its random draws follow from the configuration and its number."""
        return {
            "net": merged_state(self.result),
            **self.unmerged(),
            "network": self.cfg.MODEL.NAME,
            "epoch": self.epoch,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def unmerged(self) -> dict[str, Any]:
        """What training goes on with, where that is not `net`."""
        lora = self.cfg.TRAIN.LORA_RANK > 0
        own = {"training": self.model.state_dict()} if lora or self.average is not None else {}
        return {**own, "average": self.result.state_dict()} if lora and self.average is not None else own

    def restore(self, content: dict[str, Any]) -> None:
        """Go on where `state` was taken; the network's weights are loaded elsewhere."""
        self.optimizer.load_state_dict(content["optimizer"])
        self.scheduler.load_state_dict(content["scheduler"])
        self.scaler.load_state_dict(content["scaler"])
        if self.average is not None:
            load_average(self.average, content.get("average", content["net"]))
        self.epoch = content["epoch"]


def seed_epoch(seed: int, epoch: int) -> None:
    """Make the draws inside the network follow from seed, epoch and process: no random state needs saving."""
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch, rank()]).generate_state(1, np.uint64)[0]))
