"""TBSI: template-bridged search region interaction (Hui et al., CVPR 2023).

B targets, z template tokens [B, Lz, C], x search tokens [B, Lx, C]; v visible, i infrared.
"""

from collections.abc import Sequence
from typing import Any

import torch
from easydict import EasyDict
from torch import Tensor, nn

from ...layers.batch_invariant import BatchInvariantConv2d
from ...layers.timm_parts import VisionTransformer
from ...layers.transformer.attention import CastBlock, Fusion
from ...layers.transformer.vit import VisionEncoder, split_streams
from .network import OneStream, check_blocks


class TBSILayer(nn.Module):
    """The two search regions exchange information through their fused templates (section 3.3, figure 3).

    A layer behind the last block does not update the templates, since no later layer reads them.
    """

    def __init__(self, dim: int, num_heads: int, *, mlp_ratio: float, drop_path: float, last: bool):
        super().__init__()

        def cast() -> CastBlock:
            return CastBlock(dim, num_heads, mlp_ratio, drop_path)

        self.t_fusion = Fusion(dim)
        self.ca_s2t_i2f, self.ca_t2s_f2v = cast(), cast()
        self.ca_s2t_v2f, self.ca_t2s_f2i = cast(), cast()
        self.ca_t2t_f2v = None if last else cast()
        self.ca_t2t_f2i = None if last else cast()

    def forward(self, visible: Tensor, infrared: Tensor, lz: int) -> tuple[Tensor, Tensor]:
        """visible, infrared [B, Lz + Lx, C] -> the same, mixed"""
        z_v, x_v = visible[:, :lz], visible[:, lz:]
        z_i, x_i = infrared[:, :lz], infrared[:, lz:]
        bridge = self.ca_s2t_i2f(self.t_fusion(z_v, z_i), x_i)
        new_x_v = self.ca_t2s_f2v(x_v, bridge)
        bridge = self.ca_s2t_v2f(bridge, x_v)
        new_x_i = self.ca_t2s_f2i(x_i, bridge)
        if self.ca_t2t_f2v is not None and self.ca_t2t_f2i is not None:
            z_v, z_i = self.ca_t2t_f2v(z_v, bridge), self.ca_t2t_f2i(z_i, bridge)
        return torch.cat([z_v, new_x_v], dim=1), torch.cat([z_i, new_x_i], dim=1)


class MixingEncoder(VisionEncoder):
    """All streams run through the same blocks; after some blocks a layer of `tbsi_layers` mixes them."""

    layer_class: type[nn.Module]

    def __init__(
        self,
        vit: VisionTransformer,
        *,
        stride: int,
        template_size: int,
        search_size: int,
        locations: Sequence[int],
        mlp_ratio: float,
        drop_path: Sequence[float],
    ):
        """locations: blocks after which the streams are mixed; drop_path: one rate per mixing layer."""
        super().__init__(vit, stride=stride, template_size=template_size, search_size=search_size)
        depth = len(self.blocks)
        self.locations = check_blocks("MODEL.BACKBONE.TBSI_LOC", list(locations), depth)
        self.tbsi_layers = nn.ModuleList(
            self.layer_class(
                self.embed_dim, self.num_heads, mlp_ratio=mlp_ratio, drop_path=rate, last=location == depth - 1
            )
            for location, rate in zip(locations, drop_path, strict=True)
        )

    def unused_template_layers(self) -> list[str]:
        """Keys in public checkpoints of layers that update the template behind the last block; they reach no output."""
        last = [number for number, location in enumerate(self.locations) if location == len(self.blocks) - 1]
        return [f"backbone.tbsi_layers.{number}.ca_t2t_*" for number in last]

    def run(self, number: int, tokens: Tensor, search_only: bool) -> Tensor:
        """Runs block `number`. The last block returns the search rows alone where no head or layer reads the others."""
        if number == len(self.blocks) - 1 and number not in self.locations:
            return self.last_block(tokens, search_only)
        return self.run_block(self.blocks[number], tokens)

    def finish(self, tokens: Tensor, lx: int, search_only: bool) -> Tensor:
        """[S*B, Lz + Lx or Lx, C] -> normalised, the search rows alone when `search_only`"""
        return self.norm(tokens[:, -lx:] if search_only else tokens)


class TBSIEncoder(MixingEncoder):
    """Visible and infrared stream."""

    layer_class = TBSILayer

    def forward(self, z: Tensor, x: Tensor, judges: Tensor, search_only: bool) -> Tensor:
        """z [2B, Lz, C], x [2B, Lx, C] -> normalised [2B, Lz + Lx, C] or [2B, Lx, C], visible first"""
        tokens = torch.cat([z, x], dim=1)
        for number in range(len(self.blocks)):
            tokens = self.run(number, tokens, search_only)
            if number in self.locations:
                layer = self.tbsi_layers[self.locations.index(number)]
                tokens = torch.cat(layer(*split_streams(tokens, 2), z.shape[1]))
        return self.finish(tokens, x.shape[1], search_only)


def mixing_arguments(cfg: EasyDict, layers: int) -> dict[str, Any]:
    """The arguments of a mixing encoder from the configuration; a missing drop path rate is 0."""
    rates = [*cfg.TRAIN.TBSI_DROP_PATH, *[0.0] * layers][:layers]
    backbone = cfg.MODEL.BACKBONE
    return {"locations": backbone.TBSI_LOC, "mlp_ratio": backbone.TBSI_MLP_RATIO, "drop_path": rates}


class TBSITrack(OneStream):
    """RGB-T tracking with two streams; their search maps are fused by a convolution."""

    marks = ("box_head.", "tbsi_")
    new_after_tracker = ("tbsi",)
    encoder_class = TBSIEncoder
    streams = 2

    def __init__(self, cfg: EasyDict):
        super().__init__(cfg)
        dim = self.backbone.embed_dim
        self.tbsi_fuse_search = nn.Sequential(
            BatchInvariantConv2d(2 * dim, dim, 3, padding=1), nn.BatchNorm2d(dim), nn.ReLU()
        )
        self.dropped_keys = [*super().dropped_keys, *self.backbone.unused_template_layers()]

    def mixing(self, cfg: EasyDict) -> dict[str, Any]:
        """Where and how the streams are mixed."""
        return mixing_arguments(cfg, len(cfg.MODEL.BACKBONE.TBSI_LOC))

    def fuse(self, streams: list[Tensor]) -> Tensor:
        """2 times [B, Lx, C] -> [B, C, n, n]"""
        return self.tbsi_fuse_search(self.to_map(torch.cat(streams, dim=-1)))
