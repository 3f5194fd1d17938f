"""IIMF: a visible stream, an infrared stream and a modality-shared stream that they both feed (ACM MM 2024).

B targets, z template tokens [B, Lz, C], x search tokens [B, Lx, C]; v visible, i infrared, m modality-shared.
"""

from collections.abc import Sequence
from typing import Any

import torch
from easydict import EasyDict
from torch import Tensor, nn

from ...core.errors import InputError
from ...layers.batch_invariant import BatchInvariantConv2d
from ...layers.timm_parts import VisionTransformer
from ...layers.transformer.attention import CastBlock, Fusion, GatherBlock, SpreadBlock
from ...layers.transformer.vit import split_streams
from .network import OneStream
from .tbsi_track import MixingEncoder, mixing_arguments

_SHARED_FROM = 1  # the block after which the shared stream begins

#: Parameters of the public checkpoints that never reach an output.
_UNUSED = [
    "backbone.middle_modality_[xz]",
    "backbone.middle_fuse_[xz].*",
    "backbone.sp_sh_layer.t_fusion_1.*",
    "backbone.sp_sh_layer.fused_sh_fusion_[12].*",
    "backbone.sp_sh_layer.fused_t.*",
    "backbone.sp_sh_layer.ca_t2s_vsh2i.*",
    "backbone.sp_sh_layer.ca_t2s_ish2v.*",
    "backbone.*.attn_reshape.proj_4.*",
]


class SharedInitialisation(nn.Module):
    """Creates the shared stream from both modalities; the two specific streams exchange their templates."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, drop_path: float):
        super().__init__()
        arguments = (dim, num_heads, mlp_ratio, drop_path)
        self.t_fusion = Fusion(dim)
        self.ca_s2t_v2vsp, self.ca_s2t_i2isp = CastBlock(*arguments), CastBlock(*arguments)
        self.ca_s2t_vi2sh = GatherBlock(*arguments)
        self.ca_t2s_vi2sh, self.ca_t2t_vi2sh = SpreadBlock(*arguments), SpreadBlock(*arguments)
        self.ca_t2s_vsp2v, self.ca_t2s_isp2i = CastBlock(*arguments), CastBlock(*arguments)
        self.ca_t2t_f2v, self.ca_t2t_f2i = CastBlock(*arguments), CastBlock(*arguments)

    def forward(self, visible: Tensor, infrared: Tensor, lz: int) -> tuple[Tensor, Tensor, Tensor]:
        """visible, infrared [B, Lz + Lx, C] -> visible, infrared, shared [B, Lz + Lx, C]"""
        z_v, x_v = visible[:, :lz], visible[:, lz:]
        z_i, x_i = infrared[:, :lz], infrared[:, lz:]
        specific_v, specific_i = self.ca_s2t_v2vsp(z_v, x_v), self.ca_s2t_i2isp(z_i, x_i)
        common = self.ca_s2t_vi2sh(self.t_fusion(z_v, z_i), x_v, x_i)
        shared = torch.cat([self.ca_t2t_vi2sh(z_i, z_v, common), self.ca_t2s_vi2sh(x_v, x_i, common)], dim=1)
        new_v = torch.cat([self.ca_t2t_f2v(z_v, common), self.ca_t2s_vsp2v(x_v, specific_i)], dim=1)
        new_i = torch.cat([self.ca_t2t_f2i(z_i, common), self.ca_t2s_isp2i(x_i, specific_v)], dim=1)
        return new_v, new_i, shared


class SharedInteraction(nn.Module):
    """Both modalities feed the shared stream and do not change.

    A layer behind the last block does not update the shared template, since no later layer reads it.
    """

    def __init__(self, dim: int, num_heads: int, *, mlp_ratio: float, drop_path: float, last: bool):
        super().__init__()
        arguments = (dim, num_heads, mlp_ratio, drop_path)
        self.fused_t = Fusion(dim)
        self.ca_s2t_vi2sh = GatherBlock(*arguments)
        self.ca_t2s_f2sh = CastBlock(*arguments)
        self.ca_t2t_f2f = None if last else CastBlock(*arguments)

    def forward(self, visible: Tensor, infrared: Tensor, shared: Tensor, lz: int) -> Tensor:
        """visible, infrared, shared [B, Lz + Lx, C] -> shared [B, Lz + Lx, C]"""
        common = self.fused_t(visible[:, :lz], infrared[:, :lz])
        common = self.ca_s2t_vi2sh(common, visible[:, lz:], infrared[:, lz:])
        z_m, x_m = shared[:, :lz], self.ca_t2s_f2sh(shared[:, lz:], common)
        if self.ca_t2t_f2f is not None:
            z_m = self.ca_t2t_f2f(z_m, common)
        return torch.cat([z_m, x_m], dim=1)


class IIMFEncoder(MixingEncoder):
    """Two streams, and a third one after the first blocks."""

    layer_class = SharedInteraction

    def __init__(self, vit: VisionTransformer, *, drop_path: Sequence[float], mlp_ratio: float, **arguments: Any):
        """As MixingEncoder; the first rate of `drop_path` is that of the shared stream's initialisation."""
        super().__init__(vit, drop_path=drop_path[1:], mlp_ratio=mlp_ratio, **arguments)
        if len(self.blocks) < _SHARED_FROM + 2 or min(self.locations, default=_SHARED_FROM) < _SHARED_FROM:
            raise InputError(
                f"MODEL.BACKBONE.TBSI_LOC: {list(self.locations)} with {len(self.blocks)} blocks: the shared stream "
                f"begins after block {_SHARED_FROM}; give at least {_SHARED_FROM + 2} blocks and locations from it on"
            )
        self.sp_sh_layer = SharedInitialisation(self.embed_dim, self.num_heads, mlp_ratio, drop_path[0])

    def forward(self, z: Tensor, x: Tensor, judges: Tensor, search_only: bool) -> Tensor:
        """z [2B, Lz, C], x [2B, Lx, C] -> normalised [3B, Lz + Lx, C] or [3B, Lx, C]: visible, infrared, shared"""
        lz = z.shape[1]
        tokens = torch.cat([z, x], dim=1)
        for number in range(len(self.blocks)):
            tokens = self.run(number, tokens, search_only)
            if number == _SHARED_FROM:
                tokens = torch.cat(self.sp_sh_layer(*split_streams(tokens, 2), lz))
            if number in self.locations:
                visible, infrared, shared = split_streams(tokens, 3)
                layer = self.tbsi_layers[self.locations.index(number)]
                tokens = torch.cat([visible, infrared, layer(visible, infrared, shared, lz)])
        return self.finish(tokens, x.shape[1], search_only)


class IIMFTrack(OneStream):
    """RGB-T tracking with two modality-specific streams and a shared one."""

    marks = ("box_head.", "tbsi_", "sp_sh_layer.")
    new_after_tracker = ("tbsi",)  # and not `sp_sh_layer`, as in the public code
    encoder_class = IIMFEncoder
    streams = 3

    def __init__(self, cfg: EasyDict):
        super().__init__(cfg)
        dim = self.backbone.embed_dim
        self.tbsi_fuse_search = Fusion(dim)
        self.tbsi_fuse_middle = nn.Sequential(
            BatchInvariantConv2d(2 * dim, dim, 3, padding=1), nn.BatchNorm2d(dim), nn.ReLU()
        )
        self.dropped_keys = [*super().dropped_keys, *_UNUSED, *self.backbone.unused_template_layers()]

    def mixing(self, cfg: EasyDict) -> dict[str, Any]:
        """Where and how the streams are mixed."""
        return mixing_arguments(cfg, 1 + len(cfg.MODEL.BACKBONE.TBSI_LOC))

    def fuse(self, streams: list[Tensor]) -> Tensor:
        """3 times [B, Lx, C] -> [B, C, n, n]"""
        visible, infrared, shared = streams
        specific = self.tbsi_fuse_search(visible, infrared)
        return self.tbsi_fuse_middle(self.to_map(torch.cat([specific, shared], dim=-1)))
