"""OSTrack: joint feature learning and relation modelling in one stream (Ye et al., ECCV 2022).

B targets, Lz template tokens, Lx search tokens, C channels.
"""

from collections.abc import Sequence
from typing import Any

import torch
from easydict import EasyDict
from torch import Tensor

from ...layers.timm_parts import VisionTransformer
from ...layers.transformer.candidates import CandidateTokens, eliminate, kept_share, restore
from ...layers.transformer.vit import VisionEncoder
from .network import OneStream, check_blocks


class OSTrackEncoder(VisionEncoder):
    """Runs all blocks in turn. Some of them may drop search tokens with little attention from the template (section
    3.2)."""

    def __init__(
        self,
        vit: VisionTransformer,
        *,
        stride: int,
        template_size: int,
        search_size: int,
        locations: Sequence[int],
        shares: Sequence[float],
    ):
        """locations: blocks that drop search tokens; shares: share of the search tokens that each of them keeps."""
        super().__init__(vit, stride=stride, template_size=template_size, search_size=search_size)
        blocks = check_blocks("MODEL.BACKBONE.CE_LOC", list(locations), len(self.blocks))
        self.final_keep = dict(zip(blocks, shares, strict=True))
        self.keep = dict(self.final_keep)

    def forward(self, z: Tensor, x: Tensor, judges: Tensor, search_only: bool) -> Tensor:
        """z [B, Lz, C], x [B, Lx, C] -> normalised [B, Lz + Lx, C], or [B, Lx, C]; dropped places are zero"""
        lz, lx = z.shape[1], x.shape[1]
        tokens = torch.cat([z, x], dim=1)
        place = torch.arange(lx, device=x.device).expand(x.shape[0], -1)
        for number, block in enumerate(self.blocks):
            if number in self.keep:
                kept = eliminate(
                    block, CandidateTokens(tokens[:, :lz], tokens[:, lz:], place), judges, self.keep[number]
                )
                tokens, place = torch.cat([kept.z, kept.x], dim=1), kept.place
            elif number + 1 < len(self.blocks):
                tokens = self.run_block(block, tokens)
            else:
                tokens = self.last_block(tokens, search_only)
        skipped = tokens.shape[1] - place.shape[1]
        tokens = self.norm(tokens)
        search = restore(tokens[:, skipped:], place, lx) if place.shape[1] < lx else tokens[:, skipped:]
        return search if search_only else torch.cat([tokens[:, :lz], search], dim=1)


class OSTrack(OneStream):
    """RGB tracking: one stream, the head reads its search tokens."""

    modalities = 1
    marks = ("box_head.",)
    encoder_class = OSTrackEncoder
    streams = 1

    def __init__(self, cfg: EasyDict):
        super().__init__(cfg)
        self.keep_schedule = (cfg.TRAIN.CE_START_EPOCH, cfg.TRAIN.CE_WARM_EPOCH)

    def mixing(self, cfg: EasyDict) -> dict[str, Any]:
        """Which blocks drop search tokens, and the share that they keep."""
        return {"locations": cfg.MODEL.BACKBONE.CE_LOC, "shares": cfg.MODEL.BACKBONE.CE_KEEP_RATIO}

    def fuse(self, streams: list[Tensor]) -> Tensor:
        """1 times [B, Lx, C] -> [B, C, n, n]"""
        return self.to_map(streams[0])

    def set_epoch(self, epoch: int) -> None:
        """Keep more search tokens early in training (section 3.2)."""
        final = self.backbone.final_keep
        self.backbone.keep = {block: kept_share(keep, epoch, *self.keep_schedule) for block, keep in final.items()}

    def train(self, mode: bool = True) -> "OSTrack":
        """Evaluation always uses the configured shares, whatever the training epoch."""
        if not mode:
            self.backbone.keep = dict(self.backbone.final_keep)
        return super().train(mode)
