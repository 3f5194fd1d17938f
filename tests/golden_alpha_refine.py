"""Weights, inputs and frames of the recipe behind `tests/data/alpha_refine`."""

import json
import re
import zlib
from typing import Any

import golden
import numpy as np
import torch

from lib.core.config import load_config
from lib.models import build_model
from lib.models.alpha_refine.network import AlphaRefine
from lib.models.weights import load_state

DATA = golden.folder("alpha_refine")
NOISE, BLOCKS = CASES = ("w02_noise", "fan075_blocks")


def read(name: str) -> Any:
    """A golden file by its stem."""
    return json.loads((DATA / f"{name}.json").read_text())


STAGES = read("golden_alpharefine")
GEOMETRY = read("golden_alpharefine_geometry")


def public_weights(case: str) -> dict[str, torch.Tensor]:
    """A state dict of the public layout, unused parameters included."""
    return {key: _weight(key, tuple(shape), case) for key, shape in read("alpharefine_schema")}


def _weight(key: str, shape: tuple[int, ...], case: str) -> torch.Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    n = np.random.default_rng(zlib.crc32((STAGES.get("salt", "") + key).encode())).standard_normal(shape)
    if key.endswith("running_var"):
        n = 1 + 0.1 * np.abs(n)
    elif n.ndim > 1:
        n = n * (0.02 if case == NOISE else np.sqrt(0.75 / np.prod(shape[1:])))
    elif key.endswith(("running_mean", "bias")):
        n = 0.02 * n
    else:
        n = 1 + 0.02 * n
    return torch.from_numpy(np.asarray(n, np.float32))


def public_model(case: str, config: str = "secm_r34", *changes: str) -> AlphaRefine:
    """The published model with the recipe's weights, in evaluation mode."""
    cfg = load_config("alpha_refine", config, ["MODEL.PRETRAIN_FILE=''", *changes])
    model = build_model(cfg)
    assert isinstance(model, AlphaRefine)
    load_state(model, public_weights(case), case)
    return model.eval()


def inputs(case: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised template and search region, [2, 1, 3, 256, 256]."""
    text = STAGES["input_recipe"][case]
    seeds = re.search(r"default_rng\((\d+)\)", text), re.search(r"seed (\d+)", text)
    made = []
    for found in seeds:
        assert found is not None
        rng = np.random.default_rng(int(found[1]))
        if case == NOISE:
            made.append(rng.standard_normal((1, 2, 3, 256, 256), dtype=np.float32))
        else:
            cells = rng.standard_normal((1, 2, 3, 16, 16), dtype=np.float32)
            made.append(cells.repeat(16, axis=3).repeat(16, axis=4))
    template, search = (torch.from_numpy(value).transpose(0, 1) for value in made)
    return template, search


def frame(name: str) -> np.ndarray:
    """Frame A or B, [240, 320, 3] uint8."""
    found = re.search(rf"frame {name} seed (\d+)", GEOMETRY["frame"])
    assert found is not None
    cells = np.random.default_rng(int(found[1])).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    return cells.repeat(8, 0).repeat(8, 1)


def samples(values: np.ndarray, count: int = 64) -> np.ndarray:
    """The values that the files hold of an array: flat, at even distances."""
    flat = np.asarray(values).ravel()
    return flat[np.linspace(0, flat.size - 1, count).astype(int)]
