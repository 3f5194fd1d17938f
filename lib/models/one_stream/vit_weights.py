"""Public ViT weights: resized to fit an encoder, and renamed from the original release."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ...layers.transformer.vit import VisionEncoder, resize_patch_kernel, resize_position_code


def fit_encoder(encoder: VisionEncoder, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights whose patch kernel and position codes have the encoder's sizes.

    Codes for template and search region are used where the file has them, else those of its pretraining grid.
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
