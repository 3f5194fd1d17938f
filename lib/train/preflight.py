"""Check data and weights before anything is written and many processes start."""

from easydict import EasyDict

from ..core.errors import InputError
from ..core.paths import read_local
from ..datasets import TRAINING, find_dataset
from ..models import network_class
from ..models.pretrained import find_pretrained


def check_learns(cfg: EasyDict) -> None:
    """Raise InputError for a network that has no offline training."""
    if not network_class(cfg).learns_offline:
        raise InputError(
            f"MODEL.NAME: {cfg.MODEL.NAME} has no offline training: it learns while it tracks; its weights come from a "
            "file (--checkpoint)"
        )


def check_inputs(cfg: EasyDict) -> None:
    """Raise InputError for a network that does not learn, and for a missing data set or file of weights: one line, not
    one from each process."""
    check_learns(cfg)
    local = read_local("train")
    for name in [*cfg.DATA.TRAIN.DATASETS_NAME, *cfg.DATA.VAL.DATASETS_NAME]:
        find_dataset(TRAINING.get(name.lower(), name), local)
    if cfg.MODEL.PRETRAIN_FILE not in ("", "timm"):
        find_pretrained(cfg.MODEL.PRETRAIN_FILE, local["pretrained_dir"])
