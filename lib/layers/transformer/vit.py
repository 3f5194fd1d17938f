"""The one-stream ViT encoder: template and search tokens run through the same blocks together.

N images (targets x streams), Lz template tokens, Lx search tokens, C channels. Parameters carry the names of the
public checkpoints: `patch_embed.proj`, `pos_embed_z`, `pos_embed_x`, `blocks.N`, `norm`.
"""

import math
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, linear
from torch.utils.checkpoint import checkpoint

from ...core.errors import InputError
from ...core.registry import choose
from ..timm_parts import Block, VisionTransformer, timm
from ..timm_parts import PatchEmbed as TimmPatchEmbed
from .attention import fused_is_slow, softmax_attention

_PUBLIC_SUFFIXES = ("_tbsi", "_ce")


class VisionEncoder(nn.Module):
    """Patch embedding, position codes, blocks and final norm of a timm ViT, for a template and a search region."""

    recompute = False  # gradient checkpointing of the blocks: less memory, more time

    def __init__(self, vit: VisionTransformer, *, stride: int, template_size: int, search_size: int):
        """vit: see `create_vit`; stride: patch size; sizes: sides of the square inputs in pixels, multiples of it."""
        super().__init__()
        self.embed_dim: int = vit.embed_dim
        first: Any = vit.blocks[0]
        self.num_heads: int = first.attn.num_heads
        self.patch_embed = PatchEmbed(vit.patch_embed.proj)
        self.norm_pre = vit.norm_pre  # of CLIP's ViTs; the others have none
        self.blocks = nn.ModuleList(vit.blocks)
        self.norm = vit.norm
        self.grid_z, self.grid_x = template_size // stride, search_size // stride
        if vit.pos_embed is None:
            raise InputError("MODEL.BACKBONE.TYPE: this ViT has no absolute position codes; choose one that has")
        code = vit.pos_embed.detach()
        self.pos_embed_z = nn.Parameter(resize_position_code(code, self.grid_z))
        self.pos_embed_x = nn.Parameter(resize_position_code(code, self.grid_x))

    def embed_template(self, image: Tensor) -> Tensor:
        """[N, 3, Sz, Sz] -> [N, Lz, C]"""
        return self.norm_pre(self.patch_embed(image) + self.pos_embed_z)

    def embed_search(self, image: Tensor) -> Tensor:
        """[N, 3, Sx, Sx] -> [N, Lx, C]"""
        return self.norm_pre(self.patch_embed(image) + self.pos_embed_x)

    def last_block(self, tokens: Tensor, search_only: bool) -> Tensor:
        """The last block's output for [N, Lz + Lx, C]; only its search rows where `search_only`."""
        return self.run_block(self.blocks[-1], tokens, self.pos_embed_z.shape[1] if search_only else 0)

    def run_block(self, block: nn.Module, tokens: Tensor, first_row: int = 0) -> Tensor:
        """As the function `run_block`, with gradient checkpointing where `recompute` is set."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(run_block, block, tokens, first_row, use_reentrant=False)
        return run_block(block, tokens, first_row)


class PatchEmbed(nn.Module):
    """Non-overlapping patches to tokens (the state-dict name is `patch_embed.proj`)."""

    def __init__(self, proj: nn.Conv2d):
        super().__init__()
        self.proj = proj

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, S, S] -> [N, (S / patch)^2, C]"""
        return self.proj(image).flatten(2).transpose(1, 2)


def create_vit(name: str, *, drop_path_rate: float = 0.0, pretrained: bool = False, **shape: int) -> VisionTransformer:
    """A timm ViT by name, without its classifier.

    name: any VisionTransformer of timm; the public suffixes `_tbsi` and `_ce` are removed. shape: timm's arguments
    (`patch_size`, `img_size`, `embed_dim`, `depth`, `num_heads`); 0 leaves timm's value. pretrained: timm's weights
    (downloaded). Raises InputError for a name that timm does not know or that is not such a ViT.
    """
    for suffix in _PUBLIC_SUFFIXES:
        name = name.removesuffix(suffix)
    base, dot, tag = name.partition(".")
    name = choose("MODEL.BACKBONE.TYPE", base, timm.list_models(module="vision_transformer")) + dot + tag
    given: dict[str, Any] = {key: value for key, value in shape.items() if value}
    try:
        vit = timm.create_model(name, num_classes=0, pretrained=pretrained, drop_path_rate=drop_path_rate, **given)
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"MODEL.BACKBONE.TYPE: timm's weights of {name} cannot be loaded ({reason}); check the connection, "
            "or set MODEL.PRETRAIN_FILE to a file"
        ) from None
    except (AssertionError, RuntimeError) as error:
        raise InputError(f"MODEL.BACKBONE.TYPE: {name} cannot be built with {given}: {error}") from None
    if not _is_plain(vit):
        raise InputError(f"MODEL.BACKBONE.TYPE: {name} is not a plain ViT; choose one such as vit_base_patch16_224")
    return vit


def _is_plain(vit: nn.Module) -> TypeGuard[VisionTransformer]:
    """Whether this timm network has only parts that the encoder supports."""
    return (
        isinstance(vit, VisionTransformer)
        and type(vit.patch_embed) is TimmPatchEmbed
        and isinstance(vit.patch_embed.norm, nn.Identity)
        and vit.pos_embed is not None
        and all(type(block) is Block and getattr(block.attn, "gate", None) is None for block in vit.blocks)
    )


def split_streams(tokens: Tensor, streams: int) -> tuple[Tensor, ...]:
    """[S*B, L, C] -> S times [B, L, C]. Unlike `chunk` it can be exported for any B."""
    return tokens.unflatten(0, (streams, -1)).unbind()


def resize_position_code(code: Tensor, grid: int) -> Tensor:
    """Position codes of one square grid, bicubically resized to another: [1, P + n^2, C] -> [1, grid^2, C].

    P leading codes (class and register tokens) are left out.
    """
    side = math.isqrt(code.shape[1])
    square = code[:, code.shape[1] - side * side :].transpose(1, 2).unflatten(2, (side, side))
    if side != grid:
        square = interpolate(square, size=(grid, grid), mode="bicubic", align_corners=False)
    return square.flatten(2).transpose(1, 2).contiguous()


def resize_patch_kernel(kernel: Tensor, stride: int) -> Tensor:
    """[C, 3, p, p] -> [C, 3, stride, stride], bicubic, as the OSTrack code base does where stride and patch differ."""
    if kernel.shape[-1] == stride:
        return kernel
    return interpolate(kernel, size=(stride, stride), mode="bicubic", align_corners=False)


def run_block(block: Any, tokens: Tensor, first_row: int = 0) -> Tensor:
    """A timm block's output for the rows from `first_row` on: [N, L, C] -> [N, L - first_row, C].

    All rows are keys and values. Operations that only the other rows' output needs are skipped.
    """
    if first_row == 0 and not fused_is_slow(tokens):
        return block(tokens)
    normed = block.norm1(tokens)
    rows = tokens[:, first_row:]
    rows = rows + block.drop_path1(block.ls1(attend(block.attn, normed, first_row)))
    return rows + block.drop_path2(block.ls2(block.mlp(block.norm2(rows))))


def attend(attention: Any, tokens: Tensor, first_row: int = 0) -> Tensor:
    """Multi-head attention of the rows from `first_row` on over all of `tokens` [N, L, C] with timm's weights: the rows
    [N, L - first_row, C]."""
    if first_row == 0:
        query, key, value = _project(attention, tokens, 0, 3)
    else:
        query = _project(attention, tokens[:, first_row:], 0, 1)[0]
        key, value = _project(attention, tokens, 1, 3)
    query, key = attention.q_norm(query), attention.k_norm(key)
    mixed = softmax_attention(query, key, value, attention.scale).transpose(1, 2).flatten(2)
    return attention.proj_drop(attention.proj(attention.norm(mixed)))


def attention_weights(attention: Any, rows: Tensor, tokens: Tensor) -> Tensor:
    """Softmax attention weights of `rows` [N, Lq, C] over `tokens` [N, L, C]: [N, H, Lq, L]."""
    query = attention.q_norm(_project(attention, rows, 0, 1)[0])
    key = attention.k_norm(_project(attention, tokens, 1, 2)[0])
    return (attention.scale * query @ key.mT).softmax(dim=-1)


def _project(attention: Any, tokens: Tensor, start: int, stop: int) -> list[Tensor]:
    """The parts `start` to `stop` of (query, key, value), each [N, H, L, C / H]."""
    tokens = tokens.contiguous()  # a slice would use a slower kernel, whose rounding depends on N
    width = attention.attn_dim
    part = slice(start * width, stop * width)
    bias = None if attention.qkv.bias is None else attention.qkv.bias[part]
    projected = linear(tokens, attention.qkv.weight[part], bias)
    return [heads.unflatten(2, (attention.num_heads, -1)).transpose(1, 2) for heads in projected.split(width, dim=-1)]
