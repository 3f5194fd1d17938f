"""The optimizers of the recipes."""

import logging

import torch
from easydict import EasyDict
from torch import nn

from ..layers.lora import is_lora
from ..models.training import Trainable

log = logging.getLogger(__name__)

Parameters = dict[str, nn.Parameter]  # by name


def build_optimizer(cfg: EasyDict, model: Trainable) -> torch.optim.Optimizer:
    """The optimizer of TRAIN.OPTIMIZER: AdamW as in the OSTrack code base, or SGD as in Siamese trackers."""
    return build_sgd(cfg, model) if cfg.TRAIN.OPTIMIZER == "SGD" else build_adamw(cfg, model)


def build_sgd(cfg: EasyDict, model: Trainable) -> torch.optim.Optimizer:
    """SGD with momentum: the backbone at LR times BACKBONE_MULTIPLIER, all else at LR.

    Parameters that do not learn yet are included: without a gradient the optimizer does not change them.
    """
    fresh, backbone = _split_new(model, dict(model.named_parameters()), after_tracker=False)
    rate = cfg.TRAIN.LR
    groups = [
        {"params": list(fresh.values()), "lr": rate},
        {"params": list(backbone.values()), "lr": rate * cfg.TRAIN.BACKBONE_MULTIPLIER},
    ]
    return torch.optim.SGD(groups, lr=rate, momentum=cfg.TRAIN.MOMENTUM, weight_decay=cfg.TRAIN.WEIGHT_DECAY)


def build_adamw(cfg: EasyDict, model: Trainable) -> torch.optim.Optimizer:
    """AdamW with two groups: new parameters at LR, pretrained ones at LR times BACKBONE_MULTIPLIER.

    The network says which parameters are new, given SOT_PRETRAIN; LoRA's matrices always are. Weight decay acts on all
    parameters, as in the public code. With LAYER_DECAY below 1 there is one group for each depth: pretrained parameters
    near the input get lower rates (BEiT, ICLR 2022, appendix H).
    """
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    fresh, pretrained = _split_new(model, learning, after_tracker=cfg.TRAIN.SOT_PRETRAIN)
    by_rate: dict[float, list[nn.Parameter]] = {}
    for name, parameter in pretrained.items():
        share = cfg.TRAIN.LAYER_DECAY ** model.layers_behind(name) * cfg.TRAIN.BACKBONE_MULTIPLIER
        by_rate.setdefault(cfg.TRAIN.LR * share, []).append(parameter)
    groups = [{"params": list(fresh.values()), "lr": cfg.TRAIN.LR}] if fresh else []
    groups += [{"params": parameters, "lr": rate} for rate, parameters in sorted(by_rate.items(), reverse=True)]
    options = {"lr": cfg.TRAIN.LR, "weight_decay": cfg.TRAIN.WEIGHT_DECAY}
    if cfg.TRAIN.FUSED:
        try:
            return torch.optim.AdamW(groups, **options, fused=True)
        except RuntimeError as error:
            log.warning("TRAIN.FUSED: not on this device (%s); AdamW runs unfused", str(error).splitlines()[0])
    return torch.optim.AdamW(groups, **options)


def _split_new(model: Trainable, named: Parameters, *, after_tracker: bool) -> tuple[Parameters, Parameters]:
    """New parameters and pretrained ones, by name, each in their order."""
    new = {name for name in named if is_lora(name) or model.is_new(name, after_tracker=after_tracker)}
    return (
        {name: parameter for name, parameter in named.items() if name in new},
        {name: parameter for name, parameter in named.items() if name not in new},
    )
