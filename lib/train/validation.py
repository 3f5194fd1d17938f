"""Validation of weights that are there, without a training around it."""

from pathlib import Path

import torch
from easydict import EasyDict

from ..core.checkpoint import load_weights
from ..core.distributed import own_device
from ..core.errors import InputError
from ..core.paths import read_local
from ..datasets import load_validation_set
from ..models import build_model
from ..models.weights import load_state
from .data.loader import build_loader, read_batches
from .meters import Means


@torch.no_grad()
def validate(cfg: EasyDict, checkpoint: Path, *, device_name: str = "auto") -> dict[str, float]:
    """Mean losses and figures over the pairs of DATA.VAL.

    Raises InputError for weights and data sets that cannot be used, and when DATA.VAL names no set.
    """
    device, folders = own_device(device_name), read_local("train")
    if not cfg.DATA.VAL.DATASETS_NAME:
        raise InputError("DATA.VAL.DATASETS_NAME: no data set; name some with --set")
    model = build_model(cfg)
    load_state(model, load_weights(checkpoint), str(checkpoint))
    model.to(device).eval()
    sets = [load_validation_set(name, folders) for name in cfg.DATA.VAL.DATASETS_NAME]
    loader = build_loader(cfg, sets, stage=1, modalities=model.modalities, geometry=model.geometry(cfg.TEST))
    means = Means()
    for sample in read_batches(loader):
        batch = sample.batch.apply(lambda part: part.to(device))
        template, search = model.normalize(batch.template), model.normalize(batch.search)
        losses, figures = model.step(batch._replace(template=template, search=search))
        means.update({"loss": torch.stack(list(losses.values())).sum(), **losses, **figures}, len(search))
    return means.read()
