"""SiamRPN's weights under other names: the original release, its fork with offline training, pysot.

This toolbox uses pysot's names (alexnetlegacy and UPChannelRPN). Public weights have no `corr_scale`, so it is 1 there:
export multiplies it into the layers that make kernels, import divides these layers by it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ...core.registry import choose
from ..weights import add_counters, rename_prefix

SCALE = "rpn_head.corr_scale"
_KERNEL_MAKERS = ("rpn_head.template_cls_conv.", "rpn_head.template_loc_conv.")

#: Prefix in the original release -> prefix here.
_ORIGINAL = {
    "featureExtract.": "backbone.features.",
    "conv_r1.": "rpn_head.template_loc_conv.",
    "conv_r2.": "rpn_head.search_loc_conv.",
    "conv_cls1.": "rpn_head.template_cls_conv.",
    "conv_cls2.": "rpn_head.search_cls_conv.",
    "regress_adjust.": "rpn_head.loc_adjust.",
}
_FORK = {"conv_reg1.": "rpn_head.template_loc_conv.", "conv_reg2.": "rpn_head.search_loc_conv."}

#: pysot's ImageNet AlexNet (one width): its layer -> indices of convolution and BatchNorm here.
_IMAGENET = {"layer1": (0, 1), "layer2": (4, 5), "layer3": (8, 9), "layer4": (11, 12), "layer5": (14, 15)}

#: Naming that weights can be exported with -> prefix here -> prefix there.
NAMINGS: dict[str, dict[str, str]] = {
    "original": {here: there for there, here in _ORIGINAL.items()},
    "pysot": {},
}


def adopt(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of any naming under this toolbox's names, with the scale of `own` and the counters that old files lack.

    own: the network's state dict. A key of no known naming keeps its name.
    """
    named = {rename(key): value for key, value in weights.items()}
    scale = named.get(SCALE, torch.tensor(1.0))
    if SCALE in own:
        named = _scaled(named, float(scale / own[SCALE].to(scale.device)))
        named[SCALE] = own[SCALE]
    return add_counters(named, own)


def rename(key: str) -> str:
    """The name that a key of any naming has here; a key of no known naming stays as it is."""
    return _rename(key, {**_ORIGINAL, **_FORK})


def export(weights: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """A network's weights under public names, with `corr_scale` multiplied into the kernel layers.

    Raises InputError for an unknown naming.
    """
    naming = choose("--naming", naming, [*NAMINGS, "toolbox"])
    if naming == "toolbox":
        return dict(weights)
    prefixes = NAMINGS[naming]
    folded = _scaled(weights, float(weights[SCALE]))
    return {_rename(key, prefixes): value for key, value in folded.items() if key != SCALE}


def _scaled(weights: Mapping[str, Tensor], factor: float) -> dict[str, Tensor]:
    return {key: value * factor if key.startswith(_KERNEL_MAKERS) else value for key, value in weights.items()}


def _rename(key: str, prefixes: Mapping[str, str]) -> str:
    layer, _, rest = key.removeprefix("backbone.").partition(".")
    if layer in _IMAGENET:
        index, _, name = rest.partition(".")
        return f"backbone.features.{_IMAGENET[layer][int(index)]}.{name}" if index in ("0", "1") else key
    return rename_prefix(key, prefixes)
