"""Weights to start training from: ImageNet classifiers, self-supervised ViTs, whole trackers.

Understood: DeiT and MAE files (`model`), the original ViT release (`.npz`), timm's own weights, and tracker files of
the family (`net`; the TBSI single-object pretraining holds a part of what TBSI and IIMF have).
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from easydict import EasyDict
from torch import Tensor

from ..core.checkpoint import identify, load_weights
from ..core.errors import InputError
from ..layers.vit import VisionEncoder, create_vit, resize_patch_kernel, resize_position_code
from .base import Network

log = logging.getLogger(__name__)


def load_pretrained(model: Network, cfg: EasyDict, folder: str) -> None:
    """Load what `MODEL.PRETRAIN_FILE` holds of the model's parameters, and log an account of what matched.

    folder: `pretrained_dir` of local.py. Raises InputError when the file is missing or holds none of them.
    """
    name, encoder = cfg.MODEL.PRETRAIN_FILE, model.backbone
    if not isinstance(encoder, VisionEncoder):
        _load_convolutions(model, name, folder)
        return
    if name == "timm":
        weights = create_vit(cfg.MODEL.BACKBONE.TYPE, pretrained=True).state_dict()
        weights = {f"backbone.{key}": value for key, value in weights.items()}
    else:
        weights = read_public(find_pretrained(name, folder))
    matched = fit(encoder, weights)
    own = model.state_dict()
    usable = {key: value for key, value in matched.items() if key in own and own[key].shape == value.shape}
    if not any(".blocks." in key for key in usable):
        raise InputError(
            f"MODEL.PRETRAIN_FILE: {name} holds no block that fits MODEL.BACKBONE.TYPE {cfg.MODEL.BACKBONE.TYPE}; "
            "give weights of that ViT, or ''"
        )
    model.load_state_dict(usable, strict=False)
    log.info(account(name, own, matched, usable))


def _load_convolutions(model: Network, name: str, folder: str) -> None:
    """As `load_pretrained`, for trackers without a ViT: files of any naming that they know, a trunk or all of it."""
    own, matched = model.state_dict(), model.adopt(load_weights(find_pretrained(name, folder)))
    usable = {key: value for key, value in matched.items() if key in own and own[key].shape == value.shape}
    if not any(key.startswith("backbone.") and key.endswith("weight") for key in usable):
        raise InputError(
            f"MODEL.PRETRAIN_FILE: {name} holds no layer that fits this trunk; give weights of its width "
            "(MODEL.BACKBONE.WIDTH), or ''"
        )
    model.load_state_dict(usable, strict=False)
    log.info(account(name, own, matched, usable))


def find_pretrained(name: str, folder: str) -> Path:
    """The file that `MODEL.PRETRAIN_FILE` names, by its own path or in `folder`. Raises InputError if it is missing."""
    path = Path(name) if Path(name).is_file() else Path(folder) / name
    if not path.is_file():
        raise InputError(
            f"MODEL.PRETRAIN_FILE: {path} does not exist; download it there, set pretrained_dir in "
            "lib/train/admin/local.py, or use --set MODEL.PRETRAIN_FILE=PATH, timm or ''"
        )
    return path


def read_public(path: Path) -> dict[str, Tensor]:
    """A public file's weights under this toolbox's names: `backbone.…` for a plain ViT, as they are for a tracker."""
    weights = load_weights(path)
    if path.suffix == ".npz":
        try:
            weights = from_npz(weights)
        except KeyError as error:
            raise InputError(f"{path}: lacks {error}; it is not a file of the original ViT release") from None
    if identify(weights) == "siamrpn" or any(key.startswith(("backbone.", "box_head.")) for key in weights):
        return weights
    classifier = ("head", "fc_norm", "decoder")
    return {f"backbone.{key}": value for key, value in weights.items() if not key.startswith(classifier)}


def fit(encoder: VisionEncoder, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights whose patch kernel and position codes have the encoder's sizes.

    A file's own codes for template and search region win over those of its pretraining grid.
    """
    fitted = dict(weights)
    kernel = fitted.get("backbone.patch_embed.proj.weight")
    if kernel is not None:
        stride = encoder.patch_embed.proj.kernel_size[0]
        fitted["backbone.patch_embed.proj.weight"] = resize_patch_kernel(kernel, stride)
    grids = {"backbone.pos_embed_z": encoder.grid_z, "backbone.pos_embed_x": encoder.grid_x}
    for key, grid in grids.items():
        code = weights.get(key, weights.get("backbone.pos_embed"))
        if code is not None:
            fitted[key] = resize_position_code(code, grid)
    for key in ("backbone.pos_embed", "backbone.cls_token"):
        fitted.pop(key, None)
    return fitted


def from_npz(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The original ViT release's arrays under timm's names (Dosovitskiy et al., ICLR 2021)."""
    prefix = "opt/target/" if any(key.startswith("opt/target/") for key in arrays) else ""
    out: dict[str, Tensor] = {}

    def linear(source: str, target: str) -> None:
        out[f"{target}.weight"] = arrays[f"{prefix}{source}/kernel"].mT.contiguous()
        out[f"{target}.bias"] = arrays[f"{prefix}{source}/bias"]

    def norm(source: str, target: str) -> None:
        out[f"{target}.weight"] = arrays[f"{prefix}{source}/scale"]
        out[f"{target}.bias"] = arrays[f"{prefix}{source}/bias"]

    out["patch_embed.proj.weight"] = arrays[f"{prefix}embedding/kernel"].permute(3, 2, 0, 1).contiguous()
    out["patch_embed.proj.bias"] = arrays[f"{prefix}embedding/bias"]
    out["cls_token"] = arrays[f"{prefix}cls"]
    out["pos_embed"] = arrays[f"{prefix}Transformer/posembed_input/pos_embedding"]
    norm("Transformer/encoder_norm", "norm")
    depth = sum(f"{prefix}Transformer/encoderblock_{n}/LayerNorm_0/scale" in arrays for n in range(len(arrays)))
    for n in range(depth):
        source, block = f"Transformer/encoderblock_{n}", f"blocks.{n}"
        attention = f"{prefix}{source}/MultiHeadDotProductAttention_1"
        parts = [f"{attention}/{part}" for part in ("query", "key", "value")]
        out[f"{block}.attn.qkv.weight"] = torch.cat([arrays[f"{part}/kernel"].flatten(1).mT for part in parts])
        out[f"{block}.attn.qkv.bias"] = torch.cat([arrays[f"{part}/bias"].flatten() for part in parts])
        out[f"{block}.attn.proj.weight"] = arrays[f"{attention}/out/kernel"].flatten(0, 1).mT.contiguous()
        out[f"{block}.attn.proj.bias"] = arrays[f"{attention}/out/bias"]
        norm(f"{source}/LayerNorm_0", f"{block}.norm1")
        norm(f"{source}/LayerNorm_2", f"{block}.norm2")
        linear(f"{source}/MlpBlock_3/Dense_0", f"{block}.mlp.fc1")
        linear(f"{source}/MlpBlock_3/Dense_1", f"{block}.mlp.fc2")
    return out


def account(source: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor], used: Mapping[str, Tensor]) -> str:
    """What of a file was used, what the model still starts from scratch, what of the file was left; by part."""
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
