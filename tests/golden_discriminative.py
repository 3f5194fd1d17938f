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

from lib.core.config import load_config
from lib.models import build_model
from lib.models.weights import load_state

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
    flat = torch.as_tensor(tensor).detach().cpu().double().flatten()
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


def blocky(seed: int, shape: tuple[int, int, int, int]) -> np.ndarray:
    """Normal values in cells of 16 x 16 pixels: [B, C, H, W] float32."""
    batch, channels, height, width = shape
    cells = (batch, channels, math.ceil(height / 16), math.ceil(width / 16))
    values = np.random.default_rng(seed).standard_normal(cells).astype(np.float32)
    return values.repeat(16, axis=2).repeat(16, axis=3)[:, :, :height, :width]


def image(seed: int, height: int, width: int) -> np.ndarray:
    """A picture of blocks: [H, W, 3] uint8."""
    pixels = np.clip(128 + 64 * blocky(seed, (1, 3, height, width)), 0, 255)
    return np.floor(pixels)[0].astype(np.uint8).transpose(1, 2, 0).copy()


#: Golden file -> (schema, experiments folder, configuration, changes)
NETWORKS = {
    "dimp50": ("dimp50", "dimp", "dimp50", []),
    "superdimp": ("dimp50", "dimp", "superdimp", []),
    "atom": ("atom_resnet18", "atom", "atom", []),
    "prdimp50": ("prdimp50", "dimp", "prdimp50", ["TEST.SEARCH_SIZE=288", "TEST.SEARCH_FACTOR=5.0"]),
}


def public_weights(name: str) -> dict[str, torch.Tensor]:
    """A state dict as the public file of a tracker has it, unused parameters included."""
    known, schema = read(name), read("base_tracker_schemas")[NETWORKS[name][0]]["schema"]
    weights = {key: _network_weight(known["salt"], key, tuple(shape)) for key, shape in schema}
    for key, values in known.get("filter_optimizer_values", {}).items():
        weights[key] = torch.tensor(values).view_as(weights[key])
    return weights


def _network_weight(salt: str, key: str, shape: tuple[int, ...]) -> torch.Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    n = np.random.default_rng(zlib.crc32((salt + key).encode())).standard_normal(shape).astype(np.float32)
    if key.endswith("filter_initializer.filter_conv.bias"):
        n = np.float32(0.002) * n
    elif key.endswith("running_var"):
        n = 1 + np.float32(0.1) * np.abs(n)
    elif n.ndim > 1:
        n = n * np.float32(math.sqrt(0.75 / math.prod(shape[1:])))
    else:
        n = np.float32(0.02) * n + np.float32(key.endswith("weight"))
    own = key.removeprefix("bb_regressor.")
    if own != key and own.endswith(".0.weight") and own.startswith(("conv", "fc34")):
        n = n * np.float32(3)
    elif own in ("fc3_rt.linear.weight", "fc4_rt.linear.weight", "iou_predictor.weight"):
        n = n * np.float32(2)
    return torch.from_numpy(np.asarray(n, np.float32))


@functools.cache
def public_model(name: str) -> Any:
    """The network with the recipe's weights, in evaluation mode."""
    _, folder_name, config, changes = NETWORKS[name]
    model = build_model(load_config(folder_name, config, changes))
    load_state(model, public_weights(name), name)
    return model.eval()


def inputs(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Training images [N, 3, S, S] and test image [1, 3, S, S], normalised."""
    made = []
    for rule in (read(name)["recipe"]["inputs"][part] for part in ("train", "test")):
        values = blocky(rule["seed"], tuple(rule["shape"]))
        assert zlib.crc32(np.ascontiguousarray(values).tobytes()) == rule["crc32"]
        made.append(torch.from_numpy(values))
    return made[0], made[1]
