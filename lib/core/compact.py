"""Storing weights in one byte per value: matrices as int8 with one scale per row, everything else in float16.

A matrix `name` [rows, ...] is stored as int8 [rows, ...] with `name.row_scale`, float32 [rows]. Their product restores
the matrix with an error of at most half a scale, which is 1/254 of the row's largest value.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

_SCALE = ".row_scale"
_SMALLEST = 4096  # values of the smallest matrix that is stored as int8


def compact(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Large matrices and kernels as int8 with a scale per row, the rest as float16."""
    stored: dict[str, Tensor] = {}
    for key, value in weights.items():
        if not value.is_floating_point():
            stored[key] = value
        elif value.ndim > 1 and value.shape[0] > 1 and value.numel() >= _SMALLEST:
            rows = value.float().flatten(1)
            scale = (rows.abs().amax(dim=1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
            whole = (rows / scale[:, None]).round()
            stored[key], stored[key + _SCALE] = whole.to(torch.int8).view(value.shape), scale
        else:
            stored[key] = value.half()
    return stored


def expand(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `compact`, with its matrices in float32; all other weights stay as they are."""
    weights = {key: value for key, value in stored.items() if not key.endswith(_SCALE)}
    for key in stored.keys() - weights.keys():
        name = key.removesuffix(_SCALE)
        rows = weights[name].float().flatten(1) * stored[key][:, None]
        weights[name] = rows.view(weights[name].shape)
    return weights
