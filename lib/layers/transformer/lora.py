"""Low-rank adaptation: a frozen weight plus a learned product of two thin matrices (Hu et al., ICLR 2022, eq. 3).

During training the sum is a parametrization of the weight; `merged_state` computes it, so that a checkpoint looks as if
the weight itself had been trained.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from .vit import VisionEncoder

_MARK = ".parametrizations."


class LowRank(nn.Module):
    """W -> W + alpha / rank * up @ down; `up` begins at zero, so that nothing changes at first."""

    def __init__(self, weight: Tensor, rank: int, alpha: float):
        super().__init__()
        self.down = nn.Parameter(weight.new_empty(rank, weight.shape[1]))
        self.up = nn.Parameter(weight.new_zeros(weight.shape[0], rank))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """[out, in] -> [out, in]"""
        return weight + self.scale * (self.up @ self.down)


def add_lora(encoder: VisionEncoder, rank: int, alpha: float) -> None:
    """Freeze patch embedding, blocks and norms; train each block's `attn.qkv` and `attn.proj` at low rank.

    Position codes and mixing layers are still trained in full.
    """
    for frozen in (encoder.patch_embed, encoder.norm_pre, encoder.blocks, encoder.norm):
        frozen.requires_grad_(False)
    for block in encoder.blocks:
        for name in ("qkv", "proj"):
            layer = block.get_submodule(f"attn.{name}")
            register_parametrization(layer, "weight", LowRank(layer.get_parameter("weight"), rank, alpha))


def is_lora(name: str) -> bool:
    """Whether a parameter of that name is one of the thin matrices."""
    return _MARK in name and name.endswith((".down", ".up"))


@torch.no_grad()
def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict that `model` has without parametrizations: its own where there are none."""
    state: dict[str, Tensor] = {}
    for key, value in model.state_dict().items():
        owner, mark, rest = key.partition(_MARK)
        if not mark:
            state[key] = value
        elif rest == "weight.original":
            layer: Any = model.get_submodule(owner)
            state[f"{owner}.weight"] = layer.weight.clone()
    return state
