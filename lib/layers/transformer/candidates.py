"""Candidate elimination: search tokens with little attention from the template are dropped (OSTrack, ECCV 2022, 3.2).

N targets, Lz template tokens, L remaining search tokens, C channels.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .vit import attend, attention_weights


class CandidateTokens(NamedTuple):
    """Template tokens, the remaining search tokens and their indices in the search grid."""

    z: Tensor  # [N, Lz, C]
    x: Tensor  # [N, L, C]
    place: Tensor  # [N, L] int, index in the full search grid


def eliminate(block: Any, tokens: CandidateTokens, judges: Tensor, keep: float) -> CandidateTokens:
    """Run a timm block that keeps only the share `keep` of its search tokens after the attention.

    judges: [N, Lz] weights of the template tokens, by whose attention search tokens are kept; each row sums to 1.
    """
    template_length = tokens.z.shape[1]
    joint = torch.cat([tokens.z, tokens.x], dim=1)
    normed = block.norm1(joint)
    joint = joint + block.drop_path1(block.ls1(attend(block.attn, normed)))
    z, x, place = joint[:, :template_length], joint[:, template_length:], tokens.place
    if keep < 1:
        weights = attention_weights(block.attn, normed[:, :template_length], normed)[..., template_length:]
        received = torch.einsum("nhzx,nz->nx", weights, judges) / weights.shape[1]
        best = received.topk(math.ceil(keep * x.shape[1]), dim=1).indices
        x, place = gather_tokens(x, best), place.gather(1, best)
    joint = torch.cat([z, x], dim=1)
    joint = joint + block.drop_path2(block.ls2(block.mlp(block.norm2(joint))))
    return CandidateTokens(joint[:, :template_length], joint[:, template_length:], place)


def gather_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Rows of [N, L, C] at index [N, K]: [N, K, C]."""
    return tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def restore(tokens: Tensor, place: Tensor, length: int) -> Tensor:
    """Put tokens [N, K, C] back to their places [N, K] in a grid of `length`, the rest is zero: [N, length, C]."""
    empty = tokens.new_zeros(tokens.shape[0], length, tokens.shape[2])
    return empty.scatter(1, place.unsqueeze(-1).expand_as(tokens), tokens)


def choose_judges(kind: str, grid: int, box: Tensor) -> Tensor:
    """Weights of the template tokens that decide (`CE_TEMPLATE_RANGE`): [B, grid^2], each row sums to 1.

    kind: ALL; CTR_POINT, the token left of and above the centre; CTR_REC, the one to four central ones; GT_BOX, those
    whose centre lies in the target's box. box: [B, 4] cxcywh in units of the template's side.
    """
    first, last = (grid - 1) // 2, grid // 2
    mask = torch.zeros(grid, grid, dtype=box.dtype, device=box.device)
    if kind == "ALL":
        mask[:] = 1
    elif kind == "CTR_POINT":
        mask[first, first] = 1
    else:
        mask[first : last + 1, first : last + 1] = 1
    mask = mask.flatten().expand(box.shape[0], -1)
    if kind == "GT_BOX":
        inside = _cells_inside(box, grid)
        mask = torch.where(inside.any(dim=1, keepdim=True), inside.to(box.dtype), mask)
    return mask / mask.sum(dim=1, keepdim=True)


def _cells_inside(box: Tensor, grid: int) -> Tensor:
    centre = (torch.arange(grid, dtype=box.dtype, device=box.device) + 0.5) / grid
    near = (centre - box[:, :2, None]).abs() <= box[:, 2:, None] / 2
    return (near[:, 1, :, None] & near[:, 0, None, :]).flatten(1)


def kept_share(final: float, epoch: int, start_epoch: int, warm_epoch: int) -> float:
    """Share of tokens kept at an epoch of training: 1 until `start_epoch`, then a half cosine down to `final`."""
    progress = min(max((epoch - start_epoch) / warm_epoch, 0.0), 1.0)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))
