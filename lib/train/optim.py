"""The optimizer of the family's recipes."""

import logging

import torch
from easydict import EasyDict
from torch import nn

log = logging.getLogger(__name__)


def build_optimizer(cfg: EasyDict, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW with two groups: parameters that are new at LR, pretrained ones at LR times BACKBONE_MULTIPLIER.

    What is new depends on the start: everything outside the encoder, or with SOT_PRETRAIN the mixing layers (the names
    with "tbsi"). Decay acts on all parameters, as in the public code.
    """
    new = _is_new_after_tracking if cfg.TRAIN.SOT_PRETRAIN else _is_new_after_classification
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for name, p in named if new(name)], "lr": cfg.TRAIN.LR},
        {"params": [p for name, p in named if not new(name)], "lr": cfg.TRAIN.LR * cfg.TRAIN.BACKBONE_MULTIPLIER},
    ]
    groups = [group for group in groups if group["params"]]
    options = {"lr": cfg.TRAIN.LR, "weight_decay": cfg.TRAIN.WEIGHT_DECAY}
    if cfg.TRAIN.FUSED:
        try:
            return torch.optim.AdamW(groups, **options, fused=True)
        except RuntimeError as error:
            log.warning("TRAIN.FUSED: not on this device (%s): AdamW step by step instead", str(error).splitlines()[0])
    return torch.optim.AdamW(groups, **options)


def _is_new_after_classification(name: str) -> bool:
    return not name.startswith("backbone.")


def _is_new_after_tracking(name: str) -> bool:
    return "tbsi" in name
