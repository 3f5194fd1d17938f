"""Weights and inputs of the recipe behind `tests/data/base_trackers`: seeded numbers that any implementation can
make. For the trackers that learn a discriminative filter."""

import functools
import json
import math
import zlib
from typing import Any

import numpy as np
import torch
from golden import folder

DATA = folder("base_trackers")


@functools.cache
def read(name: str) -> Any:
    """A golden file by its stem."""
    return json.loads((DATA / f"{name}.json").read_text())


def gauss(seed: int, *shape: int) -> torch.Tensor:
    """Normal values, drawn in double precision."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def gauss32(seed: int, *shape: int) -> torch.Tensor:
    """Normal values, drawn in single precision: other numbers than `gauss` has."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def worst(tensor: torch.Tensor | np.ndarray, record: dict[str, Any]) -> float:
    """The largest difference to a record at its places, in units of what is allowed: at most 1 is right."""
    flat = torch.as_tensor(tensor).detach().double().flatten()
    assert math.prod(record["shape"]) == len(flat), (record["shape"], tuple(torch.as_tensor(tensor).shape))
    allowed = max(20 * record.get("fp64_max_abs_diff", 0), 1e-4 * record.get("std", 0), 1e-6)
    known = record["all"] if "all" in record else record["samples"]
    places = np.linspace(0, len(flat) - 1, len(known)).astype(int)
    largest = (flat[places] - torch.tensor(known, dtype=torch.float64).flatten()).abs().max().item()
    spread = abs(flat.mean().item() - record["mean"]), abs(flat.std(correction=0).item() - record["std"])
    return max(largest, *spread) / allowed


def block_weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The value of a parameter or buffer in the recipe of `golden_base_blocks`, of a module alone."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    n = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if key.endswith("running_var"):
        n = 1 + 0.1 * np.abs(n)
    elif n.ndim > 1:
        n = n * math.sqrt(1 / math.prod(shape[1:]))
    else:
        n = 0.02 * n + float(key.endswith("weight"))
    return torch.from_numpy(np.asarray(n, np.float32))


def fill_block(module: torch.nn.Module) -> torch.nn.Module:
    """A module with the values of `block_weight`, in evaluation mode."""
    module.load_state_dict({key: block_weight(key, tuple(value.shape)) for key, value in module.state_dict().items()})
    return module.eval()
