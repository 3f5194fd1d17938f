"""Going on with a run that was interrupted: from which checkpoint, and whether its settings are the same."""

import logging
from pathlib import Path
from typing import Any

from easydict import EasyDict

from ..core.checkpoint import load_checkpoint
from ..core.config import flatten
from ..core.errors import InputError
from ..core.schema import read_yaml
from ..models.weights import load_state
from .archive import FREE
from .checkpoints import epoch_checkpoints, epoch_of
from .trainer import Trainer

log = logging.getLogger(__name__)


def load_newest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The latest checkpoint of a folder that can be read, with its content; None where there is none. Warns of damaged
    ones, which training will write again."""
    damaged = []
    for path in epoch_checkpoints(folder):
        try:
            content = load_checkpoint(path)
        except InputError as error:
            damaged.append(str(error).partition("; ")[0])
            continue
        for line in damaged:
            log.warning("%s; training goes on from the last whole one and will write it again", line)
        return path, content
    for line in damaged:
        log.warning("%s; there is no whole one, so training begins anew", line)
    return None


def resume(trainer: Trainer, path: Path, content: dict[str, Any]) -> None:
    """Go on from the content of a checkpoint. Raises InputError for one that holds only weights, as public ones do, for
    one of another epoch than its name says, and where its optimizer or schedule does not fit."""
    missing = [key for key in trainer.state() if key not in content]
    if missing:
        raise InputError(
            f"{path}: lacks {missing[0]!r}, so training cannot be resumed from it; move it away, or choose another "
            "--save_dir (to start from its weights set MODEL.PRETRAIN_FILE)"
        )
    if content["epoch"] != epoch_of(path):
        raise InputError(
            f"{path}: is of epoch {content['epoch']}, its name says {epoch_of(path)}; rename it or move it away"
        )
    load_state(trainer.model, content.get("training", content["net"]), str(path))
    try:
        trainer.restore(content)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0] if isinstance(error, ValueError | RuntimeError) else repr(error)
        raise InputError(
            f"{path}: its optimizer or schedule does not fit this run ({reason}); move it away, or choose another "
            "--save_dir (to start from its weights set MODEL.PRETRAIN_FILE)"
        ) from None
    log.info("goes on after epoch %d: %s", trainer.epoch, path)


def check_same_settings(path: Path, cfg: EasyDict) -> None:
    """Raise InputError where a run would be resumed with other settings than it began with. path: of config.yaml."""
    before, now = flatten(read_yaml(path)), flatten(cfg)
    # The rates of these schedules depend on the number of epochs.
    depends = cfg.TRAIN.SCHEDULER.TYPE in ("cosine", "log")
    free = tuple(key for key in FREE if key != "TRAIN.EPOCH" or not depends)
    for key in now:
        if key in before and before[key] != now[key] and not key.startswith(free):
            raise InputError(
                f"{path}: {key}: the checkpoints here were made with {before[key]!r}, this run has {now[key]!r}; "
                "choose another --save_dir, or remove the folder to start again"
            )
