"""Whole training runs in this process, of networks narrow enough for it."""

import logging
from pathlib import Path

import pytest
from easydict import EasyDict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lib.core.checkpoint import load_checkpoint
from lib.train import resuming, run
from lib.train.trainer import Trainer

_LITTLE = [
    "TRAIN.NUM_WORKER=0", "DATA.TEMPLATE.SIZE=32", "TEST.TEMPLATE_SIZE=32", "DATA.SEARCH.SIZE=64",
    "TEST.SEARCH_SIZE=64", "MODEL.BACKBONE.TYPE=vit_tiny_patch16_224",
]  # fmt: skip
#: Settings of a run of three steps
NARROW = [
    *_LITTLE, "MODEL.BACKBONE.EMBED_DIM=24", "MODEL.BACKBONE.NUM_HEADS=2", "MODEL.BACKBONE.DEPTH=4",
    "MODEL.HEAD.NUM_CHANNELS=16", "TRAIN.BATCH_SIZE=2", "TRAIN.EPOCH=1", "TRAIN.PRINT_INTERVAL=1",
    "DATA.TRAIN.DATASETS_RATIO=[1]", "DATA.TRAIN.SAMPLE_PER_EPOCH=6",
]  # fmt: skip
#: Settings under which a network of all twelve blocks learns something in a minute
DEEP = [
    *_LITTLE, "MODEL.BACKBONE.EMBED_DIM=48", "MODEL.BACKBONE.NUM_HEADS=2", "MODEL.BACKBONE.DEPTH=12",
    "MODEL.HEAD.NUM_CHANNELS=32", "TRAIN.BATCH_SIZE=8",
]  # fmt: skip


def train(cfg: EasyDict, recipe: tuple[str, str], folder: Path, *, pretrained: Path | str = "", **logs: str) -> Path:
    """Train on the CPU with no data folder set; the folder of the checkpoints. logs: `wandb` and `visdom` of `run`."""
    kept = list(logging.getLogger().handlers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "read_local", lambda part: {"photos_dir": "", "pretrained_dir": str(pretrained)})
        try:
            run.train(cfg, script=recipe[0], config=recipe[1], save_dir=folder, device_name="cpu", **logs)
        finally:
            for handler in [one for one in logging.getLogger().handlers if one not in kept]:
                logging.getLogger().removeHandler(handler)
                handler.close()
    return folder / "checkpoints" / "train" / "/".join(recipe)


def resume(trainer: Trainer, checkpoint: Path) -> None:
    """Go on from a checkpoint file."""
    resuming.resume(trainer, checkpoint, load_checkpoint(checkpoint))


def curves(folder: Path, recipe: tuple[str, str]) -> EventAccumulator:
    """What TensorBoard reads of a run in `folder`."""
    read = EventAccumulator(str(folder / "tensorboard" / "train" / "/".join(recipe)))
    read.Reload()
    return read
