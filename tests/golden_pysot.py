"""Weights and inputs of the recipe behind pysot's trackers in `tests/data/base_trackers`: seeded numbers that any
implementation can make."""

import functools
import math
import zlib
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from easydict import EasyDict
from golden_discriminative import read, worst
from golden_siamdma import pixels

from lib.core.config import load_config
from lib.core.frame import Frame
from lib.models import build_method, build_model
from lib.models.base import Network
from lib.models.weights import load_state
from lib.test.tracker.crop_tracker import CropTracker

#: golden file -> (experiments folder, configuration)
MODELS = {
    "siamrpn_r50_l234_dwxcorr": ("siamrpnpp", "siamrpn_r50_l234_dwxcorr"),
    "siamrpn_alex_dwxcorr": ("siamrpnpp", "siamrpn_alex_dwxcorr"),
    "siammask_r50_l3": ("siammask", "siammask_r50_l3"),
}


def schema(name: str) -> list[Any]:
    """[key, shape] of every entry of the public state dict."""
    known = read(name).get("schema") or read("base_tracker_schemas")[name]["schema"]
    return list(known)


def weight(name: str, key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The recipe's value of one parameter or buffer."""
    known = read(name)
    recipe = known["recipe"]
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if key in recipe.get("specials", {}):
        return torch.full(shape, float(recipe["specials"][key].split()[1]))
    n = np.random.default_rng(zlib.crc32((known["salt"] + key).encode())).standard_normal(shape).astype(np.float32)
    if key.endswith(tuple(recipe.get("scalars_half_plus_tenth") or ["no such key"])):
        n = np.float32(0.5) + np.float32(0.1) * n
    elif key.endswith("running_var"):
        n = 1 + np.float32(0.1) * np.abs(n)
    elif n.ndim > 1:
        n = n * np.float32(math.sqrt(0.75 / math.prod(shape[1:])))
    else:
        n = np.float32(0.02) * n + np.float32(key.endswith("weight"))
    for pattern, factor in recipe["factors"].items():
        if fnmatchcase(key, pattern):
            n = n * np.float32(float(Fraction(factor)))
    return torch.from_numpy(np.asarray(n, np.float32))


@functools.cache
def public_weights(name: str) -> dict[str, torch.Tensor]:
    """A state dict as pysot names it."""
    return {key: weight(name, key, tuple(shape)) for key, shape, *_ in schema(name)}


@functools.cache
def public_model(name: str) -> Network:
    """The network with the recipe's weights, in evaluation mode."""
    model = build_model(load_config(*MODELS[name]))
    load_state(model, public_weights(name), name)
    return model.eval()


def inputs(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Template [2, 1, 3, 127, 127] and search region [2, 1, 3, S, S]."""
    made = []
    for rule in (read(name)["recipe"]["inputs"][key] for key in "zx"):
        image = pixels(rule["seed"], tuple(rule["shape"]))
        assert zlib.crc32(image.tobytes()) == rule["crc32"]
        made.append(torch.from_numpy(image)[:, None])
    return made[0], made[1]


def frame(seed: int) -> list[np.ndarray]:
    """An image [240, 320, 3] uint8 RGB; the recipe has BGR."""
    image = np.floor(pixels(seed, (1, 3, 240, 320)))[0].astype(np.uint8)
    return [image[::-1].transpose(1, 2, 0).copy()]


class Watched:
    """A tracker that remembers the crops that it was shown, in BGR."""

    def __init__(self, network, cfg: EasyDict):
        self.method = build_method(network, cfg)
        self.tracker = CropTracker(self.method, "cpu")
        self.shown: list[torch.Tensor] = []
        show = self.method.images
        self.method.images = lambda pixels: self.shown.append(show(pixels)) or self.shown[-1]

    def start(self, box):
        (target,) = self.tracker.start([frame(31)], [np.array(box)])
        return target

    def step(self, target, step, predict):
        """The target after a step, which is compared with the record. predict: the step's prediction of the views."""
        images = frame(step["frame_seed"])
        (view,) = self.method.views(target, Frame(images, images[0].shape[:2]))
        assert view.extent == (step["search_side"],) * 2 and view.scale[0] == pytest.approx(step["scale_z"], rel=1e-6)
        size = view.size[0]
        (moved,) = self.tracker.track([target], [images])
        assert worst(self.shown[-1][0, 0], step["crop_x"]) <= 1
        proposals = self.method.propose(predict(), torch.tensor(view.prior[None] * size).float())
        assert worst(proposals.scores, step["score"]) <= 1
        assert worst(proposals.penalty, step["penalty"]) <= 1
        assert worst(proposals.ranks, step["pscore"]) <= 1
        assert proposals.ranks.argmax() == step["best_index"]
        np.testing.assert_allclose(moved.box, step["box_xywh"], rtol=0, atol=1e-3)
        assert moved.score == pytest.approx(step["best_score"], abs=1e-5)
        return moved, proposals
