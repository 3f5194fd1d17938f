"""Weights and inputs of the recipe behind `tests/data/base_trackers/{rt_mdnet,eco}.json`: seeded numbers that any
implementation can make."""

import math
import zlib
from fnmatch import fnmatch
from typing import Any

import numpy as np
import torch
from golden_discriminative import read, worst

from lib.core.config import load_config
from lib.models import build_model
from lib.models.base import Network
from lib.models.weights import load_state

__all__ = ["image_u8", "original_model", "original_weights", "pixels", "read", "worst"]


def original_weights(name: str) -> dict[str, torch.Tensor]:
    """The state dict of a golden file's network."""
    recipe = read(name)["recipe"]
    file, _, system = recipe["schema"].partition(":")
    keys = read(file.removesuffix(".json"))[system]["schema"]
    salt, factors = read(name)["salt"], recipe["factors"]
    return {key: _weight(salt, key, tuple(shape), factors) for key, shape in keys}


def _weight(salt: str, key: str, shape: tuple[int, ...], factors: dict[str, float]) -> torch.Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    n = np.random.default_rng(zlib.crc32((salt + key).encode())).standard_normal(shape).astype(np.float32)
    if key.endswith("running_var"):
        n = 1 + 0.1 * np.abs(n)
    elif n.ndim > 1:
        n = n * np.float32(math.sqrt(0.75 / math.prod(shape[1:])))
    else:
        n = 0.02 * n + float(key.endswith("weight"))
    for pattern, factor in factors.items():
        if fnmatch(key, pattern):
            n = n * np.float32(factor)
    return torch.from_numpy(np.asarray(n, np.float32))


def original_model(name: str, *changes: str) -> Network:
    """The network of a golden file (its default configuration) with the recipe's weights, in evaluation mode."""
    model = build_model(load_config(name, name, changes))
    load_state(model, original_weights(name), name)
    return model.eval()


def pixels(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Blocks of 16 x 16 equal pixels, 0 to 255, not rounded: [B, C, H, W]."""
    batch, channels, height, width = shape
    cells = (batch, channels, -(-height // 16), -(-width // 16))
    blocks = np.random.default_rng(seed).standard_normal(cells).astype(np.float32)
    blocks = blocks.repeat(16, axis=2).repeat(16, axis=3)[:, :, :height, :width]
    return torch.from_numpy(np.clip(128 + 64 * blocks, 0, 255).astype(np.float32))


def image_u8(seed: int, height: int, width: int) -> np.ndarray:
    """The same as an image: [H, W, 3] uint8."""
    values: Any = pixels(seed, (1, 3, height, width))[0].permute(1, 2, 0).numpy()
    return np.floor(values).astype(np.uint8)
