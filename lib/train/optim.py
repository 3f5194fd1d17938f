"""The optimizers of the recipes."""

import logging
import re

import torch
from easydict import EasyDict
from torch import nn

from ..layers.lora import is_lora

log = logging.getLogger(__name__)

_BLOCK = re.compile(r"backbone\.blocks\.(\d+)\.")
_STEM = ("backbone.patch_embed.", "backbone.pos_embed_", "backbone.norm_pre.")


def build_optimizer(cfg: EasyDict, model: nn.Module) -> torch.optim.Optimizer:
    """What TRAIN.OPTIMIZER asks for: AdamW as the OSTrack family's recipes have it, SGD as Siamese trackers do."""
    return build_sgd(cfg, model) if cfg.TRAIN.OPTIMIZER == "SGD" else build_adamw(cfg, model)


def build_sgd(cfg: EasyDict, model: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum: the trunk at LR times BACKBONE_MULTIPLIER, all else at LR.

    Parameters that do not learn yet are part of it: they have no gradient until they do, and nothing moves them.
    """
    trunk = [parameter for name, parameter in model.named_parameters() if name.startswith("backbone.")]
    rest = [parameter for name, parameter in model.named_parameters() if not name.startswith("backbone.")]
    rate = cfg.TRAIN.LR
    groups = [{"params": rest, "lr": rate}, {"params": trunk, "lr": rate * cfg.TRAIN.BACKBONE_MULTIPLIER}]
    return torch.optim.SGD(groups, lr=rate, momentum=cfg.TRAIN.MOMENTUM, weight_decay=cfg.TRAIN.WEIGHT_DECAY)


def build_adamw(cfg: EasyDict, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW with two groups: parameters that are new at LR, pretrained ones at LR times BACKBONE_MULTIPLIER.

    What is new depends on the start: everything outside the encoder, or with SOT_PRETRAIN the mixing layers (the names
    with "tbsi"); LoRA's matrices always are. Decay acts on all parameters, as in the public code. With LAYER_DECAY
    below 1 pretrained parameters learn the slower the nearer they are to the input, in a group for each depth.
    """
    new = _is_new_after_tracking if cfg.TRAIN.SOT_PRETRAIN else _is_new_after_classification
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    depth = 1 + max((int(found[1]) for name, _ in named if (found := _BLOCK.match(name))), default=0)
    parts: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named:
        if not (is_lora(name) or new(name)):
            share = _depth_share(name, depth, cfg.TRAIN.LAYER_DECAY) * cfg.TRAIN.BACKBONE_MULTIPLIER
            parts.setdefault(cfg.TRAIN.LR * share, []).append(parameter)
    fresh = [parameter for name, parameter in named if is_lora(name) or new(name)]
    groups = [{"params": fresh, "lr": cfg.TRAIN.LR}] if fresh else []
    groups += [{"params": parameters, "lr": rate} for rate, parameters in sorted(parts.items(), reverse=True)]
    options = {"lr": cfg.TRAIN.LR, "weight_decay": cfg.TRAIN.WEIGHT_DECAY}
    if cfg.TRAIN.FUSED:
        try:
            return torch.optim.AdamW(groups, **options, fused=True)
        except RuntimeError as error:
            log.warning("TRAIN.FUSED: not on this device (%s): AdamW step by step instead", str(error).splitlines()[0])
    return torch.optim.AdamW(groups, **options)


def _depth_share(name: str, depth: int, decay: float) -> float:
    """decay to the power of the layers between a pretrained parameter and the head (BEiT, ICLR 2022, appendix H)."""
    if found := _BLOCK.match(name):
        return decay ** (depth - int(found[1]))
    return decay ** (depth + 1) if name.startswith(_STEM) else 1.0


def _is_new_after_classification(name: str) -> bool:
    return not name.startswith("backbone.")


def _is_new_after_tracking(name: str) -> bool:
    return "tbsi" in name
