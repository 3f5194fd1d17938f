"""Weights that training starts from: ImageNet classifiers, self-supervised ViTs, whole trackers.

Supported: DeiT and MAE files (`model`), the original ViT release (`.npz`), timm's own weights, tracker files of the
OSTrack code base (`net`; the TBSI single-object pretraining holds a part of the parameters of TBSI and IIMF), and
trunks and trackers of SiamRPN, DaSiamRPN and pysot under their names.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from easydict import EasyDict
from torch import Tensor

from ..core.checkpoint import load_weights
from ..core.config import flatten
from ..core.errors import InputError
from ..core.paths import FILES
from . import TRACKERS
from .base import Network
from .one_stream.vit_weights import from_npz
from .weights import identify

log = logging.getLogger(__name__)


def load_pretrained(model: Network, cfg: EasyDict, folder: str) -> None:
    """Load the weights of `MODEL.PRETRAIN_FILE` that fit the model, and log which parameters matched.

    folder: `pretrained_dir` of local.py. Raises InputError when the file is missing or nothing in it fits the backbone.
    """
    name, own = cfg.MODEL.PRETRAIN_FILE, model.state_dict()
    weights = model.timm_weights(cfg) if name == "timm" else read_public(find_pretrained(name, folder))
    matched = model.fit(weights)
    usable = {key: value for key, value in matched.items() if key in own and own[key].shape == value.shape}
    if not any(key.startswith("backbone.") and key.endswith("weight") for key in usable):
        backbone = f"{model.backbone_key} {flatten(cfg).get(model.backbone_key, '')}".strip()
        raise InputError(
            f"MODEL.PRETRAIN_FILE: {name} holds no layer that fits {backbone}; give weights of that backbone, or ''"
        )
    model.load_state_dict(usable, strict=False)
    log.info(account(name, own, matched, usable))


def find_pretrained(name: str, folder: str) -> Path:
    """The file that `MODEL.PRETRAIN_FILE` names, by its own path or in `folder`. Raises InputError if it is missing."""
    path = Path(name) if Path(name).is_file() else Path(folder) / name
    if not path.is_file():
        raise InputError(
            f"MODEL.PRETRAIN_FILE: {path} does not exist; download it there, set pretrained_dir in "
            f"{FILES['train']}, or use --set MODEL.PRETRAIN_FILE=PATH, timm or ''"
        )
    return path


def read_public(path: Path) -> dict[str, Tensor]:
    """A public file's weights: with the prefix `backbone.` for a plain ViT, unchanged for a tracker."""
    weights = load_weights(path)
    if path.suffix == ".npz":
        try:
            weights = from_npz(weights)
        except KeyError as error:
            raise InputError(f"{path}: lacks {error}; it is not a file of the original ViT release") from None
    if identify(weights) in TRACKERS or any(key.startswith("backbone.") for key in weights):
        return weights
    classifier = ("head", "fc_norm", "decoder")
    return {f"backbone.{key}": value for key, value in weights.items() if not key.startswith(classifier)}


def account(source: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor], used: Mapping[str, Tensor]) -> str:
    """A text for the log: the number of loaded tensors, then by part the model's tensors that start from scratch and
    the file's tensors that are not used."""
    lines = [f"{source}: {len(used)} of the model's {len(own)} tensors loaded"]
    for title, keys in (
        ("from scratch", [key for key in own if key not in used]),
        ("not used of the file", [key for key in given if key not in used]),
    ):
        parts: dict[str, int] = {}
        for key in keys:
            part = ".".join(key.split(".")[:2])
            parts[part] = parts.get(part, 0) + 1
        if parts:
            lines.append(f"  {title}: " + ", ".join(f"{part} ({count})" for part, count in parts.items()))
    return "\n".join(lines)
