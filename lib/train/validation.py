"""Validation, during training and of one checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from easydict import EasyDict
from torch.utils.data import DataLoader

from ..core.checkpoint import load_weights
from ..core.distributed import own_device, sum_over_processes
from ..core.errors import InputError
from ..core.paths import read_local
from ..core.progress import show_progress
from ..datasets import load_validation_set
from ..models import build_model
from ..models.training import Trainable, TrainBatch
from ..models.weights import load_state
from .data.loader import build_loader
from .data.sample import Sample, read_batches
from .meters import Clock, Means
from .step import add_total, autocast, to_device

#: Called with a batch as the loader made it, and as the network reads it.
Show = Callable[[TrainBatch, TrainBatch], None]


class Validation(NamedTuple):
    """The result of one pass over the validation samples."""

    figures: dict[str, float]  # mean losses and figures, over the samples of all processes
    speed: dict[str, float]  # of this process, from `Clock.read`


@torch.no_grad()
def validate(
    network: Trainable, loader: DataLoader[Sample], cfg: EasyDict, device: torch.device, *, show: Show | None = None
) -> Validation:
    """Losses and figures of a network on its device, in evaluation mode and in the precision of TRAIN.AMP. The samples
    are the same in every call. show: is called with the first batch."""
    network.eval()
    means, clock = Means(), Clock(len(loader))
    for number, sample in enumerate(show_progress(read_batches(loader), len(loader), "validation")):
        clock.data_ready()
        batch = to_device(sample.batch, device, network.normalize)
        with autocast(cfg, device):
            losses, figures = network.step(batch)
            if number == 0 and show is not None:
                show(sample.batch, batch)
        means.update(add_total(losses, figures), batch.size)
        clock.step_done(batch.size)
    means.replace(sum_over_processes(means.as_tensor(device)))
    return Validation(means.read(), clock.read())


def validate_checkpoint(cfg: EasyDict, checkpoint: Path, *, device_name: str = "auto") -> dict[str, float]:
    """Mean losses and figures over the pairs of DATA.VAL, as training with this configuration logs them.

    Raises InputError for weights and data sets that cannot be used, and where DATA.VAL names no data set.
    """
    device, folders = own_device(device_name), read_local("train")
    if not cfg.DATA.VAL.DATASETS_NAME:
        raise InputError("DATA.VAL.DATASETS_NAME: no data set; name some with --set")
    model = build_model(cfg)
    load_state(model, load_weights(checkpoint), str(checkpoint))
    sets = [load_validation_set(name, folders) for name in cfg.DATA.VAL.DATASETS_NAME]
    return validate(model.to(device), build_loader(cfg, sets, stage=1), cfg, device).figures
