"""Weights and inputs of the recipe behind `tests/data/siamdma`: seeded numbers that any implementation can make."""

import functools
import json
import math
import re
import zlib
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from golden import folder

from lib.core.config import load_config
from lib.models import build_model
from lib.models.siamese.siamdma import SiamDMA
from lib.models.weights import load_state

DATA = folder("siamdma")

#: The recipe's factors as it writes them -> patterns of the keys that they are for.
_FACTORS = {
    "vneck|ineck .downsample{2,3}.downsample.0.weight": ("[vi]neck.*.downsample.0.weight",),
    "enhance *.query_conv.weight, *.key_conv.weight": ("enhance.*.query_conv.weight", "enhance.*.key_conv.weight"),
    "rgbhead|thead *.head.3.weight": ("rgbhead.*.head.3.weight", "thead.*.head.3.weight"),
    "head *.cls.head.3.weight": ("head.*.cls.head.3.weight",),
    "head *.loc.head.3.weight": ("head.*.loc.head.3.weight",),
}
_DISTANCES = "head.*.loc.head.3.bias"


@functools.cache
def read(name: str) -> Any:
    """A golden file by its stem."""
    return json.loads((DATA / f"{name}.json").read_text())


def weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The recipe's value of one parameter or buffer."""
    known = read("siamdma")
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    for copied, source in known["recipe"]["ties"]:
        key = source + key.removeprefix(copied) if key.startswith(copied + ".") else key
    n = np.random.default_rng(zlib.crc32((known["salt"] + key).encode())).standard_normal(shape).astype(np.float32)
    if fnmatchcase(key, _DISTANCES):
        n = 6 + np.float32(0.5) * n
    elif key.endswith(tuple(known["recipe"]["scalars_half_plus_tenth"])):
        n = np.float32(0.5) + np.float32(0.1) * n
    elif key.endswith("running_var"):
        n = 1 + np.float32(0.1) * np.abs(n)
    elif n.ndim > 1:
        n = n * np.float32(math.sqrt(0.75 / math.prod(shape[1:])))
    else:
        n = np.float32(0.02) * n + np.float32(key.endswith("weight"))
    factors = known["recipe"]["factors"]
    names = [name for name, patterns in _FACTORS.items() if any(fnmatchcase(key, pattern) for pattern in patterns)]
    factor = float(Fraction(factors[names[0]])) if names else 1.0
    return torch.from_numpy(np.asarray(n * np.float32(factor), np.float32))


@functools.cache
def author_weights() -> dict[str, torch.Tensor]:
    """A state dict as the author's code names it."""
    return {key: weight(key, tuple(shape)) for key, shape, _ in read("siamdma_schema")["schema"]}


@functools.cache
def author_model() -> SiamDMA:
    """The network with the recipe's weights, in evaluation mode."""
    model = build_model(load_config("siamdma", "siamdma", ["DATA.INPUT=pysot"]))
    load_state(model, author_weights(), "recipe")
    assert isinstance(model, SiamDMA)
    return model.eval()


def blocky(seed: int, shape: tuple[int, int, int, int]) -> np.ndarray:
    """Normal values in cells of 16 x 16 pixels: [B, C, H, W] float32."""
    batch, channels, height, width = shape
    cells = (batch, channels, math.ceil(height / 16), math.ceil(width / 16))
    values = np.random.default_rng(seed).standard_normal(cells).astype(np.float32)
    return values.repeat(16, axis=2).repeat(16, axis=3)[:, :, :height, :width]


def pixels(seed: int, shape: tuple[int, int, int, int]) -> np.ndarray:
    """[B, C, H, W] float32 from 0 to 255"""
    return np.clip(128 + 64 * blocky(seed, shape), 0, 255).astype(np.float32)


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Template [2, 2, 3, 127, 127] and search region [2, 2, 3, 255, 255]."""
    known = read("siamdma")["recipe"]["inputs"]
    made = {}
    for name, rule in known.items():
        made[name] = pixels(rule["seed"], tuple(rule["shape"]))
        assert zlib.crc32(made[name].tobytes()) == rule["crc32"]
    template, search = ([made[f"{time}_{camera}"] for camera in "vi"] for time in "zx")
    return torch.from_numpy(np.stack(template, axis=1)), torch.from_numpy(np.stack(search, axis=1))


def frame(seed_visible: int, seed_infrared: int) -> list[np.ndarray]:
    """A pair of images [240, 320, 3] uint8; the infrared one is grey."""
    visible, infrared = (
        np.floor(pixels(seed, (1, 3, 240, 320)))[0].astype(np.uint8).transpose(1, 2, 0).copy()
        for seed in (seed_visible, seed_infrared)
    )
    return [visible, infrared[..., :1].repeat(3, axis=2)]


def first_frame() -> list[np.ndarray]:
    """The pair of images that tracking starts in."""
    seeds = re.search(r"frame 0 seeds (\d+) / (\d+)", read("siamdma")["tracker"]["frames"])
    assert seeds is not None
    return frame(int(seeds[1]), int(seeds[2]))


def gauss(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Normal values."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def worst(tensor: torch.Tensor | np.ndarray, record: dict[str, Any]) -> float:
    """The largest difference to a record at its places, in units of what is allowed: at most 1 is right."""
    flat = torch.as_tensor(tensor).detach().double().flatten()
    assert math.prod(record["shape"]) == len(flat)
    allowed = max(20 * record.get("fp64_max_abs_diff", 0), 1e-4 * record.get("std", 0), 1e-6)
    places = np.linspace(0, len(flat) - 1, 64).astype(int)
    values = torch.tensor(record["samples"], dtype=torch.float64)
    largest = (flat[places] - values).abs().max().item()
    spread = abs(flat.mean().item() - record["mean"]), abs(flat.std(correction=0).item() - record["std"])
    return max(largest, *spread) / allowed
