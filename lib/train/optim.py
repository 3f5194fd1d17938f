"""The optimizers of the recipes."""

import logging
from typing import Any

import torch
from easydict import EasyDict
from torch import nn

from ..layers.transformer.lora import is_lora
from ..models.training import Trainable

log = logging.getLogger(__name__)

Parameters = dict[str, nn.Parameter]  # by name


def build_optimizer(cfg: EasyDict, model: Trainable) -> torch.optim.Optimizer:
    """The optimizer of TRAIN.OPTIMIZER: AdamW as in the OSTrack code base, SGD as in Siamese trackers, or Adam."""
    return build_sgd(cfg, model) if cfg.TRAIN.OPTIMIZER == "SGD" else build_adam(cfg, model)


def build_sgd(cfg: EasyDict, model: Trainable) -> torch.optim.Optimizer:
    """SGD with momentum: the backbone at LR times BACKBONE_MULTIPLIER, all else at LR (times the network's factor).

    Parameters that do not learn yet are included: without a gradient the optimizer does not change them.
    """
    fresh, backbone = _split_new(model, dict(model.named_parameters()), after_tracker=False)
    rate = cfg.TRAIN.LR
    groups = [*_group_fresh(rate, model, fresh), *_group_by_rate(cfg, model, backbone, decay=1.0)]
    return torch.optim.SGD(groups, lr=rate, momentum=cfg.TRAIN.MOMENTUM, weight_decay=cfg.TRAIN.WEIGHT_DECAY)


def build_adam(cfg: EasyDict, model: Trainable) -> torch.optim.Optimizer:
    """AdamW or Adam with two groups: new parameters at LR, pretrained ones at LR times BACKBONE_MULTIPLIER; more, where
    the network has factors of its own for some of them.

    The network says which parameters are new, given SOT_PRETRAIN; LoRA's matrices always are. Weight decay acts on all
    parameters, as in the public code. With LAYER_DECAY below 1 there is one group for each depth: pretrained parameters
    near the input get lower rates (BEiT, ICLR 2022, appendix H). One optimizer serves the whole run: what learns from a
    later epoch on has no moments before, and what learned from the beginning keeps its own.
    """
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    fresh, pretrained = _split_new(model, learning, after_tracker=cfg.TRAIN.SOT_PRETRAIN)
    groups = _group_fresh(cfg.TRAIN.LR, model, fresh)
    groups += _group_by_rate(cfg, model, pretrained, decay=cfg.TRAIN.LAYER_DECAY)
    options = {"lr": cfg.TRAIN.LR, "weight_decay": cfg.TRAIN.WEIGHT_DECAY}
    kind = torch.optim.Adam if cfg.TRAIN.OPTIMIZER == "ADAM" else torch.optim.AdamW
    if cfg.TRAIN.FUSED:
        try:
            return kind(groups, **options, fused=True)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            log.warning("TRAIN.FUSED: not on this device (%s); %s runs unfused", reason, kind.__name__)
    return kind(groups, **options)


def _group_fresh(rate: float, model: Trainable, fresh: Parameters) -> list[dict[str, Any]]:
    """Groups of new parameters, the highest rate first."""
    by_rate: dict[float, list[nn.Parameter]] = {}
    for name, parameter in fresh.items():
        by_rate.setdefault(rate * model.fresh_factor(name), []).append(parameter)
    return [{"params": parameters, "lr": own} for own, parameters in sorted(by_rate.items(), reverse=True)]


def _group_by_rate(cfg: EasyDict, model: Trainable, pretrained: Parameters, *, decay: float) -> list[dict[str, Any]]:
    """Groups of pretrained parameters, the highest rate first. decay: of the rate per layer."""
    by_rate: dict[float, list[nn.Parameter]] = {}
    for name, parameter in pretrained.items():
        share = decay ** model.layers_behind(name) * cfg.TRAIN.BACKBONE_MULTIPLIER * model.rate_factor(name)
        by_rate.setdefault(cfg.TRAIN.LR * share, []).append(parameter)
    return [{"params": parameters, "lr": rate} for rate, parameters in sorted(by_rate.items(), reverse=True)]


def _split_new(model: Trainable, named: Parameters, *, after_tracker: bool) -> tuple[Parameters, Parameters]:
    """New parameters and pretrained ones, by name, each in their order."""
    new = {name for name in named if is_lora(name) or model.is_new(name, after_tracker=after_tracker)}
    return (
        {name: parameter for name, parameter in named.items() if name in new},
        {name: parameter for name, parameter in named.items() if name not in new},
    )
