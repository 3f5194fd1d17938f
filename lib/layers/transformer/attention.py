"""Cross-attention blocks that mix template and search tokens of two modalities (TBSI, CVPR 2023; IIMF, ACM MM 2024).

B targets, Lq query tokens, Lk key tokens, C channels. One head, no query/key/value projections: tokens attend to each
other as they are, after a shared LayerNorm.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ..timm_parts import DropPath, Mlp


def scramble(x: Tensor) -> Tensor:
    """[B, N, C] -> [B, N, C]: transpose to [B, C, N], then reinterpret that memory as [B, N, C].

    Mixes tokens with channels. A slip in TBSI's attention, but its published weights were trained with it, so every
    TBSI and IIMF checkpoint needs it.
    """
    return x.transpose(1, 2).reshape(x.shape)


def fused_is_slow(x: Tensor) -> bool:
    """Whether attention over `x` is faster as three separate steps: on a CPU below float32 precision, where the fused
    kernel takes up to twice their time in the forward pass and seven times in the backward pass (PyTorch 2.13)."""
    return x.device.type == "cpu" and (x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"))


def softmax_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Softmax attention, in one kernel or in three steps: [N, H, Lq, C], [N, H, L, C], [N, H, L, C] -> [N, H, Lq, C]"""
    if fused_is_slow(query):
        return (scale * query @ key.mT).softmax(dim=-1) @ value
    return scaled_dot_product_attention(query, key, value, scale=scale)


class CastAttention(nn.Module):
    """The output projection of a CAST block (its state-dict name is `attn_reshape.proj`)."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Linear(dim, dim)

    def forward(self, attended: Tensor) -> Tensor:
        """[B, Lq, C] -> [B, Lq, C]"""
        return self.proj(scramble(attended))


class DoubleCastAttention(nn.Module):
    """The output projection of a double CAST block: two attended maps become one."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.proj_2 = nn.Linear(dim, dim)
        self.proj_3 = nn.Linear(2 * dim, dim)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """[B, Lq, C], [B, Lq, C] -> [B, Lq, C]"""
        return self.proj_3(torch.cat([self.proj(scramble(first)), self.proj_2(scramble(second))], dim=-1))


class _Residual(nn.Module):
    """What both kinds of CAST block share: norms, MLP, stochastic depth, and the scale of the scores."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, drop_path: float):
        super().__init__()
        # The blocks have one head, yet the public code scales as if there were `num_heads`.
        self.scale = (dim // num_heads) ** -0.5
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def _finish(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.drop_path(attended)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class CastBlock(_Residual):
    """y = q + proj(scramble(attention(q, kv))), then an MLP; only the query side is computed."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0):
        super().__init__(dim, num_heads, mlp_ratio, drop_path)
        self.attn_reshape = CastAttention(dim)

    def forward(self, query: Tensor, source: Tensor) -> Tensor:
        """query [B, Lq, C], source [B, Lk, C] -> [B, Lq, C]"""
        rows, keys = self.norm1(query)[:, None], self.norm1(source)[:, None]  # one head, so that a fused kernel runs
        attended = softmax_attention(rows, keys, keys, self.scale)
        return self._finish(query, self.attn_reshape(attended[:, 0]))


class GatherBlock(_Residual):
    """Double CAST "s2t": one query gathers from two sources under one softmax (IIMF).

    The two attended maps leave the joint softmax separately. This is written out, because one call of
    scaled_dot_product_attention with block-diagonal values does twice the multiplications in up to six times the time.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0):
        super().__init__(dim, num_heads, mlp_ratio, drop_path)
        self.attn_reshape = DoubleCastAttention(dim)

    def forward(self, query: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """query [B, Lq, C], first [B, L1, C], second [B, L2, C] -> [B, Lq, C]"""
        keys_1, keys_2 = self.norm1(first), self.norm1(second)
        scores = self.scale * (self.norm1(query) @ torch.cat([keys_1, keys_2], dim=1).mT)
        weight_1, weight_2 = scores.softmax(dim=-1).split([keys_1.shape[1], keys_2.shape[1]], dim=-1)
        return self._finish(query, self.attn_reshape(weight_1 @ keys_1, weight_2 @ keys_2))


class SpreadBlock(_Residual):
    """Double CAST "t2s" and "t2t": the two queries of a position share one softmax over one source (IIMF)."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0):
        super().__init__(dim, num_heads, mlp_ratio, drop_path)
        self.attn_reshape = DoubleCastAttention(dim)

    def forward(self, first: Tensor, second: Tensor, source: Tensor) -> Tensor:
        """first [B, Lq, C], second [B, Lq, C], source [B, Lk, C] -> [B, Lq, C], residual of both queries' sum"""
        keys = self.norm1(source)
        scores = self.scale * torch.cat([self.norm1(first) @ keys.mT, self.norm1(second) @ keys.mT], dim=-1)
        weight_1, weight_2 = scores.softmax(dim=-1).chunk(2, dim=-1)
        return self._finish(first + second, self.attn_reshape(weight_1 @ keys, weight_2 @ keys))


class Fusion(nn.Sequential):
    """Linear(2C -> C), LayerNorm, GELU over two token maps laid side by side."""

    def __init__(self, dim: int):
        super().__init__(nn.Linear(2 * dim, dim), nn.LayerNorm(dim, eps=1e-5), nn.GELU())

    def forward(self, first: Tensor, second: Tensor) -> Tensor:  # type: ignore[override]
        """[B, N, C], [B, N, C] -> [B, N, C]"""
        return super().forward(torch.cat([first, second], dim=-1))
