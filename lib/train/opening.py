"""What a training says before its first step."""

import logging
from collections.abc import Sequence as Many

import torch

from ..core.distributed import world_size
from ..core.words import counted
from ..datasets.sequence import Sequence
from .trainer import Trainer

log = logging.getLogger(__name__)


def describe_sets(names: Many[str], sets: Many[Many[Sequence]]) -> str:
    """Data sets with their numbers of sequences, in one line."""
    return ", ".join(f"{name} ({counted(len(one), 'sequence')})" for name, one in zip(names, sets, strict=True))


def log_opening(trainer: Trainer) -> None:
    """Log the device, the network, the length of an epoch and what is left to do."""
    cfg, model = trainer.cfg, trainer.model
    where = torch.cuda.get_device_name(trainer.device) if trainer.device.type == "cuda" else trainer.device.type
    if trainer.device.type == "cpu":
        where += f" ({counted(torch.get_num_threads(), 'thread')})"
    log.info("device: %s, %s", where, counted(world_size(), "process"))
    total = sum(value.numel() for value in model.parameters())
    learning = sum(value.numel() for value in model.parameters() if value.requires_grad)
    name = type(model).__name__
    log.info("network: %s, %.2f M parameters, %.2f M of them learn", name, total / 1e6, learning / 1e6)
    batch = cfg.TRAIN.BATCH_SIZE * world_size() * trainer.parts
    log.info("an epoch: %s of %d pairs; %s", counted(trainer.steps, "step"), batch, counted(cfg.TRAIN.EPOCH, "epoch"))
    if trainer.epoch >= cfg.TRAIN.EPOCH:
        log.info("all epochs are done; for more raise TRAIN.EPOCH, to begin anew choose another --save_dir")
