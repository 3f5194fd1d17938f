"""SiamDMA's weights under other names: the author's release, and what training starts from (SiamBAN and other trackers
of pysot, ResNet-50 of pysot or torchvision)."""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from ...core.errors import InputError
from ...core.registry import choose
from ...layers.trunks.resnet import widen_projections
from ..weights import rename_prefix

log = logging.getLogger(__name__)

#: Scalars of the author's files that no output depends on.
NOT_USED = ("Zmix.?attn.gamma", "Xmixmask.?attn.gamma")

_INPUT = "input_form"  # which kind of input the weights were made for: its index in siamdma.INPUTS
_RAW = 1  # pixels without normalisation, the author's and pysot's
_STEM = ("conv1.", "bn1.", "layer1.")
_LEVELS = (("res3", "box2", "downsample2", "0"), ("res4", "box3", "downsample3", "1"))
_BLOCK = ("conv_kernel", "conv_search", "head")


def _author_names() -> dict[str, str]:
    """Prefix in the author's files -> prefix here."""
    table = {}
    for camera, letter in enumerate("vi"):
        for part in _STEM:
            table[f"{letter}backbone.{part}"] = f"backbone.stems.{camera}.{part}"
        table[f"{letter}backbone."] = f"backbone.streams.{camera}."
        for level, box, adjust, place in _LEVELS:
            own, head = f"attention.{level}.", ("rgbhead", "thead")[camera]
            table[f"{letter}neck.{adjust}.downsample."] = f"neck.streams.{camera}.{level}."
            table[f"enhance.{letter}pam_cals.{place}.query_conv."] = f"{own}queries.{camera}."
            for group, kind in ((f"{letter}pam_uses", "within"), (("vipam_uses", "ivpam_uses")[camera], "across")):
                for part in ("value", "key"):
                    table[f"enhance.{group}.{place}.{part}_conv."] = f"{own}{kind}.{camera}.{part}."
                table[f"enhance.{group}.{place}.gamma"] = f"{own}{kind}.{camera}.gain"
            table[f"enhance.{letter}cam_uses.{place}.gamma"] = f"{own}channel_gains.{camera}"
            table[f"{head}.{box}.cls."] = f"stream_heads.{camera}.levels.{level}."
            table[f"{head}.cls_weight"] = f"stream_heads.{camera}.cls_weight"
            table[f"head.{box}."] = f"head.levels.{level}."
    for there, here in (("Zmix", "template"), ("Xmixmask", "search")):
        table[f"{there}.gamma"] = f"fusion.{here}_gains"
        table[f"{there}.cattn.fc1."] = f"fusion.{here}.channel.0."
        table[f"{there}.cattn.fc2."] = f"fusion.{here}.channel.2."
        table[f"{there}.sattn.conv1."] = f"fusion.{here}.spatial."
    table["Xmixmask.washmask.onexone."] = "padding_conv."
    return table


AUTHOR = _author_names()


def rename(key: str) -> str:
    """The name that a key of the author's files has here; an unknown key stays as it is."""
    return rename_prefix(key, AUTHOR)


def adopt(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The author's weights under this network's names; own: the network's state dict.

    Raises InputError for weights that were made for another kind of input, or with two stems that differ where the
    network has one.
    """
    named = {rename(key): value for key, value in weights.items()}
    if any(key.startswith("vbackbone.") for key in weights):
        named[_INPUT] = torch.tensor(_RAW)
        named = _one_stem(named, own)
    if _INPUT in named and named[_INPUT] != own[_INPUT].to(named[_INPUT].device):
        raise InputError(
            f"DATA.INPUT: the weights were made for {_input_name(named[_INPUT])}, the configuration says "
            f"{_input_name(own[_INPUT])}; set DATA.INPUT={_input_name(named[_INPUT])}"
        )
    return named


def export(weights: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
    """A network's weights as the author names them ("author"), with what no output depends on, or as they are
    ("toolbox").

    Raises InputError for another naming, and for weights of another input than the author's.
    """
    if choose("--naming", naming, ["author", "toolbox"]) == "toolbox":
        return dict(weights)
    if int(weights[_INPUT]) != _RAW:
        raise InputError(
            "--naming author: the author's code takes pixels as they are; these weights need DATA.INPUT=imagenet"
        )
    back = {here: there for there, here in AUTHOR.items()}
    named = {rename_prefix(key, back): value for key, value in weights.items() if key != _INPUT}
    for key in [key for key in named if key.startswith("vbackbone.") and key.split(".")[1] + "." in _STEM]:
        named.setdefault("i" + key[1:], named[key])
    for module in ("Zmix", "Xmixmask"):
        if f"{module}.gamma" in named:
            named |= {f"{module}.{part}attn.gamma": torch.zeros(1) for part in "cs"}
    return named


def start_weights(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights that training starts from under this network's names: of a tracker of this kind, or of one camera's trunk
    and tracker, which both cameras get. Keys without a place here keep their names."""
    if not any(key.startswith("backbone.layer3.") for key in weights):
        return adopt(weights, own)
    raw = weights.get("backbone.layer2.0.downsample.0.weight", torch.empty(0, 0, 1, 1)).shape[-1] == 3
    if raw != bool(own[_INPUT]):
        log.warning(
            "DATA.INPUT is %s, but weights of this layout were made for %s",
            _input_name(own[_INPUT]), _input_name(torch.tensor(int(raw))),
        )  # fmt: skip
    named: dict[str, Tensor] = {}
    for key, value in widen_projections(weights).items():
        names = [name for name in _both_cameras(key) if name in own]
        named |= dict.fromkeys(names, value) if names else {key: value}
    return named


def download_resnet() -> dict[str, Tensor]:
    """torchvision's ImageNet weights of ResNet-50, by timm. Raises InputError where timm cannot load them."""
    from ...layers.timm_parts import timm  # takes more than a second

    try:
        found = timm.create_model("resnet50.tv_in1k", pretrained=True).state_dict()
    except Exception as error:  # of the network, of the hub's client
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise InputError(f"MODEL.PRETRAIN_FILE: timm cannot load resnet50.tv_in1k ({reason}); give a file") from None
    return {f"backbone.{key}": value for key, value in found.items()}


def _both_cameras(key: str) -> list[str]:
    """The names here of a key of pysot's or torchvision's layout, with the prefix `backbone.` for the trunk."""
    prefixes = {f"backbone.{part}": f"backbone.stems.?.{part}" for part in _STEM}
    prefixes["backbone.layer"] = "backbone.streams.?.layer"
    for level, box, adjust, _ in _LEVELS:
        prefixes[f"neck.{adjust}.downsample."] = f"neck.streams.?.{level}."
        prefixes |= {f"head.{box}.cls.{part}.": f"stream_heads.?.levels.{level}.{part}." for part in _BLOCK}
    found = rename_prefix(key, prefixes)
    return [found.replace("?", str(camera)) for camera in range(2)] if found != key else []


def _one_stem(named: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the infrared camera's stem where the network has one for both. The author's two were never trained, so
    they are equal."""
    if any(key.startswith("backbone.stems.1.") for key in own):
        return named
    for key in [key for key in named if key.startswith("backbone.stems.1.")]:
        if not torch.equal(named.pop(key), named[key.replace(".stems.1.", ".stems.0.")]):
            raise InputError("the weights have two stems that differ; set MODEL.BACKBONE.SHARED_STEM=false")
    return named


def _input_name(form: Tensor) -> str:
    return "pysot" if int(form) == _RAW else "imagenet"
