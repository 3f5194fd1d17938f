"""Weights and inputs of the recipe behind `tests/data/dasiamrpn`: seeded numbers that any implementation can make."""

import json
from typing import Any

import numpy as np
import torch
from golden import folder, weight

from lib.core.config import load_config
from lib.models import build_model
from lib.models.weights import load_state

DATA = folder("dasiamrpn")

#: Network of the original release -> the configuration that it belongs to.
CONFIGS = {"SiamRPNvot": "siamrpn_vot", "SiamRPNotb": "siamrpn_otb", "SiamRPNBIG": "siamrpn_big"}


def read(name: str) -> Any:
    """A golden file by its stem."""
    return json.loads((DATA / f"{name}.json").read_text())


def original_weights(network: str) -> dict[str, torch.Tensor]:
    """A state dict as the original release names it."""
    return {key: weight(key, tuple(shape)) for key, shape in read("schema")[network]}


def original_model(network: str, *changes: str) -> torch.nn.Module:
    """The named network with the recipe's weights, in evaluation mode."""
    model = build_model(load_config("dasiamrpn", CONFIGS[network], changes))
    load_state(model, original_weights(network), network)
    return model.eval()


def image(seed: int, size: int) -> torch.Tensor:
    """[1, 1, 3, size, size] pixels as the network takes them: seed 1 is the template, 2 the search region."""
    pixels = np.random.default_rng(seed).uniform(0, 255, (1, 3, size, size)).astype(np.float32)
    return torch.from_numpy(pixels)[:, None]
