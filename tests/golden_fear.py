"""Inputs of the recipe behind `tests/data/fear_xs`, whose weights are the published ones."""

import json
from typing import Any

import golden
import numpy as np
import torch


def read() -> Any:
    """The golden file."""
    return json.loads((golden.folder("fear_xs") / "fear_xs.json").read_text())


def pixels(seed: int, size: int) -> torch.Tensor:
    """[1, 1, 3, size, size] float pixels of the recipe."""
    cells = np.random.default_rng(seed).standard_normal((1, 3, size // 16, size // 16)).repeat(16, 2).repeat(16, 3)
    return torch.from_numpy(np.clip(128 + 64 * cells, 0, 255).astype(np.float32))[:, None]
