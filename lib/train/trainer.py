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

from ..core.distributed import average_buffers, is_main, rank
from ..core.errors import InputError
from ..core.progress import show_progress
from ..layers.transformer.lora import merged_state
from ..models.base import Network
from ..models.training import TrainBatch
from .archive import Archive
from .average import load_average
from .copies import CheckpointCopies
from .data.sample import Sample, read_batches
from .meters import Clock, Means, format_duration
from .picture import draw
from .run_log import RunLog
from .schedule import batches_per_step, set_rates, warm_up
from .skip import Skips, check_unreadable
from .step import add_total, autocast, to_device, wrap_again
from .validation import validate

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Trainer:
    """All parts of a run. `run` is the loop; `state` is what resuming needs."""

    cfg: EasyDict
    model: Network
    step: nn.Module  # TrainStep(model), wrapped where several processes train
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler
    train_loader: DataLoader[Sample]
    val_loader: DataLoader[Sample] | None
    checkpoints: Path  # folder
    device: torch.device
    run_log: RunLog | None = None  # in the main process
    average: AveragedModel | None = None  # of the weights, over steps
    copies: CheckpointCopies | None = None
    epoch: int = 0  # epochs done

    def __post_init__(self) -> None:
        """Raises InputError where GLOBAL_BATCH does not fit."""
        self.parts = batches_per_step(self.cfg, len(self.train_loader))  # batches whose gradients make one step
        self.steps = len(self.train_loader) // self.parts  # of one epoch

    @property
    def result(self) -> Network:
        """The network for validation and tracking: the averaged one if there is one."""
        return self.model if self.average is None else cast(Network, self.average.module)

    def run(self) -> None:
        """Train from the epoch after `self.epoch` to the last."""
        archive = None
        if is_main():
            archive = Archive(self.checkpoints, self.cfg, epoch=self.epoch, copies=self.copies)
        for epoch in range(self.epoch + 1, self.cfg.TRAIN.EPOCH + 1):
            self.model.set_epoch(epoch)
            self.step = wrap_again(self.step)
            self.train_epoch(epoch)
            set_rates(
                self.optimizer, self.scheduler.get_last_lr(), 1.0
            )  # without the warm-up, which the schedule does not know
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
        """One epoch over the samples of this process."""
        self.step.train()
        seed_epoch(self.cfg.TRAIN.SEED, epoch)
        self.train_loader.sampler.epoch = epoch  # type: ignore[attr-defined]
        rates = self.scheduler.get_last_lr()
        batches = self.steps * self.parts
        means, clock, unreadable = Means(), Clock(batches * (self.cfg.TRAIN.EPOCH - epoch + 1)), 0
        skips = Skips(self.cfg.TRAIN.SKIP_SHARE, epoch)
        self.optimizer.zero_grad(set_to_none=True)
        taken = show_progress(islice(read_batches(self.train_loader), batches), batches, f"epoch {epoch}")
        for number, sample in enumerate(taken, start=1):
            clock.data_ready()
            unreadable += int(sample.unreadable.sum())
            steps, rest = divmod(number, self.parts)
            values = self.gather_gradients(self.to_device(sample.batch), complete=rest == 0)
            if skips.admits(values["loss"]):
                means.update(values, sample.batch.size)
            if rest == 0:
                done = (epoch - 1) * self.steps + steps - 1
                set_rates(self.optimizer, rates, warm_up(self.cfg, done, self.steps))
                self.update_weights(skips)
            clock.step_done(sample.batch.size)
            if rest == 0 and (steps % self.cfg.TRAIN.PRINT_INTERVAL == 0 or steps == self.steps):
                self.log_progress("train", epoch, steps, means.read(), clock.read())
                check_unreadable(unreadable, clock.pairs)

    def gather_gradients(self, batch: TrainBatch, *, complete: bool) -> dict[str, Tensor]:
        """Add the gradients of one batch of a step. complete: for the step's last batch; then they are exchanged.

        The loss is the batch's mean divided by the number of parts, so that all parts together act as one large batch.
        """
        waits = isinstance(self.step, DistributedDataParallel) and not complete
        with self.step.no_sync() if waits else nullcontext():  # type: ignore[operator]
            with autocast(self.cfg, self.device):
                losses, figures = self.step(batch)
            values = add_total(losses, figures)
            self.scaler.scale(values["loss"] / self.parts).backward()
        return values

    def update_weights(self, skips: Skips) -> None:
        """One step of the optimizer, unless `skips` leaves it out."""
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

    def validate(self, epoch: int, loader: DataLoader[Sample]) -> dict[str, float]:
        """The mean losses and figures over the validation samples of all processes. The main process logs them, and of
        the first samples, if their kind of batch has one, a picture and what the network's histograms show."""

        def show(raw: TrainBatch, batch: TrainBatch) -> None:
            if self.run_log is not None and (shown := draw(self.result, raw, batch)) is not None:
                progress = epoch * self.steps
                self.run_log.add_image(f"val/{shown.name}", shown.pixels, progress, dataformats="HWC")
                for name, values in shown.distributions.items():
                    self.run_log.add_histogram(f"val/{name}", values, progress)

        figures, speed = validate(self.result, loader, self.cfg, self.device, show=show)
        self.log_progress("val", epoch, len(loader), figures, speed)
        return figures

    def log_progress(
        self, stage: str, epoch: int, number: int, figures: dict[str, float], speed: dict[str, float]
    ) -> None:
        """One line on the console and in the log file, and scalars for curves. number: of the step or batch.

        Raises InputError for a loss that is not finite, which ends the run.
        """
        steps = self.steps if stage == "train" or self.val_loader is None else len(self.val_loader)
        if not np.isfinite(figures.get("loss", 0.0)):  # no loss yet where every step was left out
            raise InputError(
                f"loss is {figures['loss']} in epoch {epoch}, step {number}; lower TRAIN.LR, or switch TRAIN.AMP off; "
                "the last checkpoint is kept"
            )
        if self.run_log is None:
            return
        listed = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        times = f"{speed['pairs_per_s']:.1f} pairs/s  data {speed['data_wait']:.0%}"
        if stage == "train":
            times += f"  to go {format_duration(speed['eta_s'])}"
        where = f"{stage:5} epoch {epoch}/{self.cfg.TRAIN.EPOCH}  step {number}/{steps}"
        log.info("%s  %s  %s", where, listed, times)
        progress = (epoch - 1) * self.steps + (number if stage == "train" else self.steps)
        scalars = {**figures, "pairs_per_s": speed["pairs_per_s"], "data_wait": speed["data_wait"]}
        if self.device.type == "cuda":
            scalars["gpu_memory_gib"] = torch.cuda.max_memory_allocated(self.device) / 2**30
        for index, group in enumerate(self.optimizer.param_groups):
            scalars[f"lr_{index}"] = group["lr"]
        if stage == "train":
            scalars |= {name: float(value) for name, value in self.model.watched().items()}
        for name, value in scalars.items():
            self.run_log.add_scalar(f"{stage}/{name}", value, progress)
        self.run_log.flush()

    def to_device(self, batch: TrainBatch) -> TrainBatch:
        """The batch on the device, images normalised."""
        return to_device(batch, self.device, self.model.normalize)

    def path(self, which: str) -> Path:
        """The path of a checkpoint: `<Name>_ep0015.pth.tar` for which = "ep0015"."""
        return self.checkpoints / f"{type(self.model).__name__}_{which}.pth.tar"

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on. Its random draws depend only on the configuration and its number."""
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
        """The weights that training continues with, where they differ from `net`."""
        lora = self.cfg.TRAIN.LORA_RANK > 0
        own = {"training": self.model.state_dict()} if lora or self.average is not None else {}
        return {**own, "average": self.result.state_dict()} if lora and self.average is not None else own

    def restore(self, content: dict[str, Any]) -> None:
        """Continue from a `state`; the network's weights are loaded elsewhere."""
        self.optimizer.load_state_dict(content["optimizer"])
        if "last_epoch" not in content["scheduler"]:  # PyTorch would take any names
            raise ValueError("its schedule has no last_epoch")
        self.scheduler.load_state_dict(content["scheduler"])
        self.scaler.load_state_dict(content["scaler"])
        if self.average is not None:
            load_average(self.average, content.get("average", content["net"]))
        self.epoch = content["epoch"]


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed the draws inside the network by seed, epoch and process, so that no random state needs saving."""
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch, rank()]).generate_state(1, np.uint64)[0]))
