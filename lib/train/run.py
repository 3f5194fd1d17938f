"""A training run from its configuration to its last checkpoint."""

import json
import logging
import os
import platform
import random
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from easydict import EasyDict

from ..core.atomic import write_atomically
from ..core.checkpoint import load_checkpoint
from ..core.config import flatten, save_config
from ..core.distributed import is_main, own_device, process_group, world_size
from ..core.errors import InputError
from ..core.measure.machine import describe_code
from ..core.paths import read_local
from ..core.schema import read_yaml
from ..datasets import load_training_set, load_validation_set
from ..layers.lora import add_lora
from ..models import build_model
from ..models.base import TrackerModel
from ..models.pretrained import load_pretrained
from ..models.weights import load_state
from .archive import FREE
from .average import build_average
from .board import open_board
from .copies import Copies
from .data.loader import build_loader
from .optim import build_optimizer
from .schedule import build_scheduler
from .step import SharedStep, TrainStep
from .trainer import Trainer

log = logging.getLogger(__name__)

_EPOCH = re.compile(r"_ep(\d+)\.pth\.tar$")


def train(
    cfg: EasyDict,
    *,
    script: str,
    config: str,
    save_dir: Path,
    device_name: str = "auto",
    wandb: str = "",
    weights_dir: str = "",
) -> None:
    """Train a configuration, or go on where an interrupted run of it stopped.

    Writes `<save_dir>/checkpoints/train/<script>/<config>/`, `logs/` and `tensorboard/`; wandb: a project of Weights &
    Biases that is told what TensorBoard is; weights_dir: a folder that gets copies of the checkpoints. Raises
    InputError for data, weights and configurations that cannot be used, and when a folder holds another run's files.
    """
    device = own_device(device_name)
    with process_group(device):
        checkpoints = save_dir / "checkpoints" / "train" / script / config
        if is_main():
            _log_to(save_dir / "logs" / f"{script}-{config}.log")
            _record(checkpoints, cfg)
        else:
            logging.getLogger().setLevel(logging.WARNING)  # the main process speaks for all
            logging.getLogger(load_training_set.__module__).setLevel(logging.ERROR)  # and has read the same data sets
        curves = save_dir / "tensorboard" / "train" / script / config
        copies = Copies(Path(weights_dir), f"{cfg.MODEL.NAME}_{config}") if weights_dir else None
        _train(cfg, checkpoints, curves, device=device, wandb=wandb, copies=copies)


def _train(
    cfg: EasyDict, checkpoints: Path, curves: Path, *, device: torch.device, wandb: str, copies: Copies | None
) -> None:
    """What exchanges gradients lives in here, so that it is gone before the processes part."""
    seed_everything(cfg.TRAIN.SEED)
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        # The loader has cores of its own: threads that wait for a busy core stall the others.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) - cfg.TRAIN.NUM_WORKER))
    local = read_local("train")
    newest = find_newest(checkpoints)
    model = build_model(cfg)
    if newest is None and cfg.MODEL.PRETRAIN_FILE:
        load_pretrained(model, cfg, local["pretrained_dir"])
    trainer = build_trainer(cfg, model.to(device), checkpoints, folders=local, device=device)
    trainer.copies = copies
    if is_main():
        trainer.board = open_board(cfg, curves, checkpoints, wandb=wandb)
    if newest is not None:
        resume(trainer, newest)
    trainer.run()
    if trainer.board is not None:
        trainer.board.close()
    log.info("finished: %d epochs, checkpoints in %s", trainer.epoch, checkpoints)


def build_trainer(
    cfg: EasyDict, model: TrackerModel, checkpoints: Path, *, folders: dict[str, str], device: torch.device
) -> Trainer:
    """Data, optimizer and loop around a model that is on its device."""
    if cfg.TRAIN.LORA_RANK:
        add_lora(model.get_submodule("backbone"), cfg.TRAIN.LORA_RANK, cfg.TRAIN.LORA_ALPHA)  # type: ignore[arg-type]
    if cfg.TRAIN.CHANNELS_LAST:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(cfg, model)
    step = TrainStep(model)
    if cfg.TRAIN.COMPILE:
        step.compile()
    half = cfg.TRAIN.AMP and device.type == "cuda" and cfg.TRAIN.AMP_DTYPE == "float16"
    train_sets = [load_training_set(name, folders) for name in cfg.DATA.TRAIN.DATASETS_NAME]
    val_sets = [load_validation_set(name, folders) for name in cfg.DATA.VAL.DATASETS_NAME]
    load = partial(build_loader, cfg, modalities=model.modalities, geometry=model.geometry(cfg.TEST))
    return Trainer(
        cfg=cfg,
        model=model,
        step=SharedStep(step) if world_size() > 1 else step,
        optimizer=optimizer,
        scheduler=build_scheduler(cfg, optimizer),
        scaler=torch.amp.GradScaler(device.type, enabled=half),
        train_loader=load(train_sets, stage=0),
        val_loader=load(val_sets, stage=1) if val_sets else None,
        checkpoints=checkpoints,
        board=None,
        device=device,
        average=build_average(cfg, model),
    )


def seed_everything(seed: int) -> None:
    """Same seed, same weights; training samples and epochs have seeds of their own."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def find_newest(checkpoints: Path) -> Path | None:
    """The checkpoint of the latest epoch in a folder."""
    found = [(int(name[1]), path) for path in checkpoints.glob("*.pth.tar") if (name := _EPOCH.search(path.name))]
    return max(found)[1] if found else None


def resume(trainer: Trainer, newest: Path) -> None:
    """Go on after a checkpoint. Raises InputError for one that was not made to go on with, as public ones are."""
    content = load_checkpoint(newest)
    missing = [key for key in trainer.state() if key not in content]
    if missing:
        raise InputError(
            f"{newest}: lacks {missing[0]!r}, so training cannot go on after it; move it away, or choose another "
            "--save_dir (to start from its weights set MODEL.PRETRAIN_FILE)"
        )
    load_state(trainer.model, content.get("training", content["net"]), str(newest))
    trainer.restore(content)
    log.info("goes on after epoch %d: %s", trainer.epoch, newest)


def _record(folder: Path, cfg: EasyDict) -> None:
    """Keep the resolved configuration and the environment beside the checkpoints."""
    path = folder / "config.yaml"
    if find_newest(folder) is not None and path.exists():
        _check_agreement(path, cfg)
    with write_atomically(path) as temporary:
        save_config(cfg, temporary)
    environment = {
        "code": describe_code(),
        "command": " ".join(sys.argv),
        "processes": str(world_size()),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "machine": platform.platform(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu",
    }
    log.info("code %(code)s  torch %(torch)s  %(processes)s processes on %(device)s", environment)
    with write_atomically(folder / "environment.json") as temporary:
        temporary.write_text(json.dumps(environment, indent=2) + "\n")


def _check_agreement(path: Path, cfg: EasyDict) -> None:
    """Raises InputError where a run would go on with other settings than it began with."""
    before, now = flatten(read_yaml(path)), flatten(cfg)
    # These bend with the number of epochs; the other schedules do not look at it.
    bends = cfg.TRAIN.SCHEDULER.TYPE in ("cosine", "log")
    free = tuple(key for key in FREE if key != "TRAIN.EPOCH" or not bends)
    for key in now:
        if key in before and before[key] != now[key] and not key.startswith(free):
            raise InputError(
                f"{path}: {key}: the checkpoints here were made with {before[key]!r}, this run has {now[key]!r}; "
                "choose another --save_dir, or remove the folder to start anew"
            )


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s"))
    logging.getLogger().addHandler(handler)
