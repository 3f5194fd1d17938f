"""Weights and inputs of the recipe behind `tests/data/one_stream`: seeded numbers that any implementation can make."""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from easydict import EasyDict

from lib.core.config import load_config
from lib.models import build_model
from lib.models.base import Network
from lib.models.weights import load_state


def folder(system: str) -> Path:
    """The golden files of a system: in the folder that RGBT_GOLDEN names, else in tests/data."""
    return Path(os.environ.get("RGBT_GOLDEN") or Path(__file__).parent / "data") / system


DATA = folder("one_stream")

#: Files with tracked frames and crops.
TRACKING = sorted(path.stem for path in DATA.glob("*_tracking.json"))

#: golden file -> (experiments folder, configuration)
MODELS = {
    "iimf_sot": ("tbsi_track", "vitb_256_tbsi_32x1_1e4_lasher_15ep_sot"),
    "iimf_in1k": ("tbsi_track", "vitb_256_tbsi_32x4_4e4_lasher_15ep_in1k"),
    "tbsi_in1k": ("tbsi_track", "tbsi_vitb_256_32x4_4e4_lasher_15ep_in1k"),
    "ostrack": ("ostrack", "vitb_256_mae_32x4_ep300"),
    "ostrack_ce": ("ostrack", "vitb_256_mae_ce_32x4_ep300"),
}


def read(name: str) -> Any:
    """A golden file by its stem."""
    return json.loads((DATA / f"{name}.json").read_text())


def weight(key: str, shape: tuple[int, ...], salt: str = "") -> torch.Tensor:
    """The recipe's value of one parameter or buffer."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    n = np.random.default_rng(zlib.crc32((salt + key).encode())).standard_normal(shape).astype(np.float32)
    if key.endswith("running_var"):
        n = 1 + 0.1 * np.abs(n)
    elif n.ndim == 1 and key.endswith("weight"):
        n = 1 + 0.02 * n
    else:
        n = 0.02 * n
    return torch.from_numpy(np.asarray(n, np.float32))


def public_weights(name: str) -> dict[str, torch.Tensor]:
    """A state dict of the public layout, unused parameters included."""
    return {key: weight(key, tuple(shape)) for key, shape in read(f"{name}_schema")}


def public_model(name: str) -> tuple[Network, EasyDict]:
    """The named public model with the recipe's weights, in evaluation mode, and its configuration."""
    cfg = load_config(*MODELS[name])
    model = build_model(cfg)
    load_state(model, public_weights(name), name)
    return model.eval(), cfg


def inputs(modalities: int, template_size: int = 128, search_size: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """Template and search images [2, M, 3, S, S]: seeds 1 + j, j = template v, template i, search v, search i."""

    def image(j: int, size: int) -> torch.Tensor:
        values = np.random.default_rng(1 + j).standard_normal((2, 3, size, size)).astype(np.float32)
        return torch.from_numpy(values)

    streams = range(modalities)
    template = torch.stack([image(j, template_size) for j in streams], dim=1)
    return template, torch.stack([image(2 + j, search_size) for j in streams], dim=1)


def frame(seed: int, modalities: int, height: int = 360, width: int = 480) -> list[np.ndarray]:
    """The recipe's picture: random cells of 20x20 pixels, one [H, W, 3] image per modality."""
    cells = np.random.default_rng(seed).integers(0, 256, (height // 20, width // 20, 3 * modalities), np.uint8)
    return np.split(cells.repeat(20, axis=0).repeat(20, axis=1), modalities, axis=2)
