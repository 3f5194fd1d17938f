"""A training run from its configuration to its last checkpoint."""

import json
import logging
import os
import platform
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from easydict import EasyDict
from torch.utils.data import DataLoader

from ..core.atomic import check_no_folder, write_atomically
from ..core.config import save_config
from ..core.distributed import is_main, own_device, process_group, world_size
from ..core.lock import hold
from ..core.measure.machine import describe_code
from ..core.paths import read_local
from ..core.words import counted
from ..datasets import load_dataset, load_training_set, load_validation_set
from ..models import build_model
from ..models.base import Network
from ..models.pretrained import load_pretrained
from .archive import check_names
from .average import build_average
from .checkpoints import find_newest
from .copies import CheckpointCopies
from .data.left_out import leave_out
from .data.loader import build_loader
from .data.sample import Sample
from .opening import describe_sets, log_opening
from .optim import build_optimizer
from .preflight import check_learns
from .resuming import check_same_settings, load_newest, resume
from .run_log import RunLog, open_run_log
from .schedule import build_scheduler
from .step import SharedStep, TrainStep
from .trainer import Trainer

log = logging.getLogger(__name__)


def train(
    cfg: EasyDict,
    *,
    script: str,
    config: str,
    save_dir: Path,
    device_name: str = "auto",
    wandb: str = "",
    visdom: str = "",
    weights_dir: str = "",
) -> None:
    """Train a configuration, or resume an interrupted run of it.

    Writes `<save_dir>/checkpoints/train/<script>/<config>/`, `logs/` and `tensorboard/`; wandb: a project of Weights &
    Biases to log to as well; visdom: HOST:PORT of a server to show the same on; weights_dir: a folder for copies of the
    checkpoints. Raises InputError for a network without offline training, for data, weights and configurations that
    cannot be used, and for a folder of another run, whether it has ended or is still writing.
    """
    check_learns(cfg)
    device = own_device(device_name)
    checkpoints = save_dir / "checkpoints" / "train" / script / config
    copies = CheckpointCopies(Path(weights_dir), f"{cfg.MODEL.NAME}_{config}") if weights_dir else None
    with process_group(device), _locks(checkpoints, copies):
        if is_main():
            check_names(checkpoints, copies)
            log_file = save_dir / "logs" / f"{script}-{config}.log"
            _log_to(log_file)
            save_setup(checkpoints, cfg)
            log.info("log: %s", log_file)
            log.info("curves: tensorboard --logdir %s", save_dir / "tensorboard")
        else:
            logging.getLogger().setLevel(logging.WARNING)  # the main process logs for all
            logging.getLogger(load_training_set.__module__).setLevel(logging.ERROR)  # it reads the same data sets
        curves = save_dir / "tensorboard" / "train" / script / config
        open_log = partial(open_run_log, cfg, curves, checkpoints, wandb=wandb, visdom=visdom)
        _train(cfg, checkpoints, open_log, device=device, copies=copies)


@contextmanager
def _locks(checkpoints: Path, copies: CheckpointCopies | None) -> Iterator[None]:
    """What the main process locks before it writes anything. Raises InputError where another run is writing."""
    with ExitStack() as stack:
        if is_main():
            stack.enter_context(hold(checkpoints, "choose another --save_dir"))
            if copies is not None:
                stack.enter_context(hold(copies.folder, "choose another --weights_dir", copies.name))
        yield


def _train(
    cfg: EasyDict,
    checkpoints: Path,
    open_log: Callable[[], RunLog],
    *,
    device: torch.device,
    copies: CheckpointCopies | None,
) -> None:
    """As `train`. Modules that exchange gradients are local here, so that they are deleted before the process group."""
    seed_everything(cfg.TRAIN.SEED)
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        # The loader's processes need cores of their own: a thread that waits for a busy core stalls the others.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) - cfg.TRAIN.NUM_WORKER))
    local = read_local("train")
    newest = load_newest(checkpoints)
    model = build_model(cfg)
    if newest is None and cfg.MODEL.PRETRAIN_FILE:
        load_pretrained(model, cfg, local["pretrained_dir"])
    loaders = build_loaders(cfg, local)
    run_log = open_log() if is_main() else None
    trainer = build_trainer(cfg, model.to(device), loaders, checkpoints, device=device, run_log=run_log, copies=copies)
    if newest is not None:
        resume(trainer, *newest)
    log_opening(trainer)
    trainer.run()
    if run_log is not None:
        run_log.close()
    log.info("finished: %s, checkpoints in %s", counted(trainer.epoch, "epoch"), checkpoints)


class Loaders(NamedTuple):
    """The loaders of a run."""

    train: DataLoader[Sample]
    val: DataLoader[Sample] | None


def build_loaders(cfg: EasyDict, folders: dict[str, str]) -> Loaders:
    """Loaders of DATA.TRAIN and DATA.VAL. folders: those of local.py. Raises InputError for unusable data sets."""
    train_sets = [load_training_set(name, folders) for name in cfg.DATA.TRAIN.DATASETS_NAME]
    if cfg.DATA.TRAIN.WITHOUT:
        others = {name: load_dataset(name, folders) for name in cfg.DATA.TRAIN.WITHOUT}
        train_sets = leave_out(train_sets, cfg.DATA.TRAIN.DATASETS_NAME, others)
    val_sets = [load_validation_set(name, folders) for name in cfg.DATA.VAL.DATASETS_NAME]
    log.info("training data: %s", describe_sets(cfg.DATA.TRAIN.DATASETS_NAME, train_sets))
    log.info("validation data: %s", describe_sets(cfg.DATA.VAL.DATASETS_NAME, val_sets) or "none")
    return Loaders(
        build_loader(cfg, train_sets, stage=0),
        build_loader(cfg, val_sets, stage=1) if val_sets else None,
    )


def build_trainer(
    cfg: EasyDict,
    model: Network,
    loaders: Loaders,
    checkpoints: Path,
    *,
    device: torch.device,
    run_log: RunLog | None = None,
    copies: CheckpointCopies | None = None,
) -> Trainer:
    """A trainer for a model that is on its device. Raises InputError for settings that do not fit the model."""
    if cfg.TRAIN.LORA_RANK:
        model.add_lora(cfg.TRAIN.LORA_RANK, cfg.TRAIN.LORA_ALPHA)
    if cfg.TRAIN.CHANNELS_LAST:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(cfg, model)
    step = TrainStep(model)
    if cfg.TRAIN.COMPILE:
        step.compile()
    half = cfg.TRAIN.AMP and device.type == "cuda" and cfg.TRAIN.AMP_DTYPE == "float16"
    return Trainer(
        cfg=cfg,
        model=model,
        step=SharedStep(step) if world_size() > 1 else step,
        optimizer=optimizer,
        scheduler=build_scheduler(cfg, optimizer),
        scaler=torch.amp.GradScaler(device.type, enabled=half),
        train_loader=loaders.train,
        val_loader=loaders.val,
        checkpoints=checkpoints,
        device=device,
        run_log=run_log,
        average=build_average(cfg, model),
        copies=copies,
    )


def seed_everything(seed: int) -> None:
    """Seed the initial weights. Training samples and epochs have seeds of their own."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def save_setup(folder: Path, cfg: EasyDict) -> None:
    """Write the resolved configuration and the environment beside the checkpoints. Raises InputError where existing
    checkpoints were made with other settings."""
    path = folder / "config.yaml"
    if find_newest(folder) is not None:
        if path.exists():
            check_same_settings(path, cfg)
        else:
            log.warning("%s: is missing, so nothing tells whether the checkpoints here had this run's settings", path)
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
    log.info("code %(code)s  torch %(torch)s", environment)
    with write_atomically(folder / "environment.json") as temporary:
        temporary.write_text(json.dumps(environment, indent=2) + "\n")


def _log_to(path: Path) -> None:
    check_no_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s"))
    logging.getLogger().addHandler(handler)
