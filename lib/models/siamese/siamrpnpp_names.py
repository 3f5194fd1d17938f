"""Weights of SiamRPN++ and SiamMask under pysot's names, and the ImageNet trunks that training starts from.

pysot numbers the levels of a trunk where there are several (`neck.downsample2`, `rpn_head.rpn2` for res3) and names no
level where there is one (`neck.downsample`, `rpn_head`).
"""

import re
from collections.abc import Mapping

from torch import Tensor

from ...core.registry import choose
from ...layers.trunks.resnet import widen_projections
from ..weights import add_counters

#: pysot's ImageNet AlexNet: its layer -> indices of convolution and BatchNorm here.
_ALEXNET = {"1": (0, 1), "2": (4, 5), "3": (8, 9), "4": (11, 12), "5": (14, 15)}

_RULES = (
    (re.compile(r"^backbone\.(?=(?:conv1|bn1)\.|layer1\.\d+\.(?:conv\d|bn\d|downsample)\.)"), "backbone.stems.0."),
    (re.compile(r"^backbone\.(?=layer[234]\.\d+\.(?:conv\d|bn\d|downsample)\.)"), "backbone.streams.0."),
    (re.compile(r"^neck\.downsample([234]?)\.downsample\."), r"neck.streams.0.pysot\1."),
    (
        re.compile(r"^rpn_head\.(?:rpn([234])\.)?(?=(?:cls|loc)\.(?:conv_kernel|conv_search|head)\.)"),
        r"rpn_head.levels.pysot\1.",
    ),
)


def rename(key: str) -> str:
    """The name that a key of pysot's files has here, but for the levels: pysot2 stands for the first one of several,
    pysot for the only one. An unknown key stays as it is."""
    for pattern, name in _RULES:
        key = pattern.sub(name, key)
    return key


def adopt(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """pysot's weights under the names of a network, with the counters that old files lack. own: its state dict."""
    names = _numbered(own)
    named = {}
    for key, value in weights.items():
        parts = rename(key).split(".")
        named[".".join(names.get(part, part) for part in parts)] = value
    return add_counters(named, own)


def export(weights: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """A network's weights as pysot names them ("pysot"), or as they are ("toolbox"). Raises InputError for another
    naming."""
    if choose("--naming", naming, ["pysot", "toolbox"]) == "toolbox":
        return dict(weights)
    numbers = {level: name.removeprefix("pysot") for name, level in _numbered(weights).items()}
    named = {}
    for key, value in weights.items():
        key = re.sub(r"^backbone\.(?:stems|streams)\.0\.", "backbone.", key)
        for level, number in numbers.items():
            key = key.replace(f"neck.streams.0.{level}.", f"neck.downsample{number}.downsample.")
            key = key.replace(f"rpn_head.levels.{level}.", f"rpn_head.rpn{number}." if number else "rpn_head.")
        named[key] = value
    return named


def start_weights(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights that training starts from under the names of a network: of a tracker, or of an ImageNet trunk, with the
    prefix `backbone.`. own: its state dict. Keys without a place there keep their names."""
    alexnet = "backbone.features.0.weight" in own
    named = {}
    for key, value in widen_projections(weights).items():
        layer = re.match(r"^backbone\.layer(\d)\.([01])\.(\w+)$", key)
        if alexnet and layer and layer[1] in _ALEXNET:
            key = f"backbone.features.{_ALEXNET[layer[1]][int(layer[2])]}.{layer[3]}"
        named[key] = value
    return adopt(named, own)


def _numbered(own: Mapping[str, Tensor]) -> dict[str, str]:
    """What `rename` calls each level of a network -> its name here. own: the network's state dict."""
    found = (re.match(r"rpn_head\.levels\.(\w+)\.", key) for key in own)
    levels = list(dict.fromkeys(match[1] for match in found if match))
    return {"pysot": levels[0]} if len(levels) == 1 else {f"pysot{k}": level for k, level in enumerate(levels, start=2)}
