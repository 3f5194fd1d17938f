"""Stored numbers of the small networks of `micro.VARIANTS`: answers, losses, gradients and tracked boxes.

They are not right because they are stored. They were made by code that gives the public models' outputs
(test_golden_models.py, which is slow); here they show in a moment that arithmetic changed. To write them anew:

    PYTHONPATH=. python tests/micro_golden.py [VARIANT ...]      without names: those that are missing or gone

Legitimate where a variant is new, where its configuration in micro.py changed, or where a change of arithmetic is
meant and the slow golden tests pass (or their values changed with the published model). Never to make a test pass.
"""

import json
import math
import sys
from pathlib import Path

import golden
import micro
import numpy as np
import torch
from torch import Tensor

from lib.core import tree
from lib.models import build_method, build_model
from lib.models.base import Network, PairBatch
from lib.models.frame_set import FrameSetBatch
from lib.test.tracker.crop_tracker import CropTracker

FILE = Path(__file__).parent / "data" / "micro.json"
#: All that can be asked about a template and a search region, but the toy of the tests.
VARIANTS = [name for name in micro.TRAINED if name != micro.TOY]
SHOWN = 8  # values of a tensor that are stored
#: Deviation of kernels for one input: signals neither die nor explode, with norms of tokens or without.
GAINS = {True: 1.4, False: 1.0}

Numbers = dict[str, list[float]]


def figures(variant: str) -> Numbers:
    """Everything that is stored of a variant."""
    network, batch = calm_network(variant), _batch(variant)
    with torch.no_grad():
        memory = network.embed(batch.template)
        answers = [*tree.tensors(memory), *tree.tensors(network(memory, batch.search))]
        answers = [part for part in answers if part.numel()]  # the corner head has no maps of sizes and offsets
    losses, read = network.step(_train_batch(variant))
    sum(losses.values()).backward()
    slopes = {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}
    network.zero_grad(set_to_none=True)
    return {
        **{f"answer {number}": _digest(part) for number, part in enumerate(answers)},
        **{name: _digest(value) for name, value in {**losses, **read}.items()},
        "gradients": [_plain(part.norm()) for _, part in sorted(slopes.items())][:: math.ceil(len(slopes) / 16)],
        "boxes": _follow(variant, network),
    }


def calm_network(variant: str) -> Network:
    """Weights by their names and NumPy's generator, whatever PyTorch's draws or timm's initial values are."""
    network = build_model(micro.config(variant))
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.dtype.is_floating_point and value.ndim:
                value.copy_(_weight(key, tuple(value.shape), GAINS[variant in micro.ONE_STREAM]))
    return network.eval()


def _weight(key: str, shape: tuple[int, ...], gain: float) -> Tensor:
    """The recipe of `golden.weight`, with kernels as large as keeps signals alive in narrow layers."""
    value = golden.weight(key, shape)
    return value * (gain / 0.02 / math.sqrt(math.prod(shape[1:]))) if len(shape) > 1 else value


def _batch(variant: str) -> PairBatch:
    """The boxes of `micro.batch` with images of NumPy's generator."""
    batch = micro.batch(variant)

    def image(seed: int, shape: torch.Size) -> Tensor:
        return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))

    return batch._replace(template=image(1, batch.template.shape), search=image(2, batch.search.shape))


def _train_batch(variant: str) -> PairBatch | FrameSetBatch:
    """`micro.train_batch` with images of NumPy's generator."""
    batch, images = micro.train_batch(variant), _batch(variant)
    if isinstance(batch, PairBatch):
        return images
    return batch._replace(train=images.template, test=images.search)


def _follow(variant: str, network: Network) -> list[float]:
    """Boxes and scores of two targets in two frames, as a user's tracker gives them."""
    tracker = CropTracker(build_method(network, micro.config(variant)), "cpu")
    first, *others = (golden.frame(seed, network.modalities, 120, 160) for seed in (1000, 1001, 1002))
    targets = tracker.start([first] * 2, [np.array([60.0, 40.0, 30.0, 24.0]), np.array([10.0, 60.0, 16.0, 40.0])])
    seen: list[float] = []
    for images in others:
        targets = tracker.track(targets, [images] * 2)
        seen += [_plain(value) for target in targets for value in (*target.box, target.score)]
    return seen


def _digest(values: Tensor) -> list[float]:
    """Values at even distances, and the mean."""
    flat = values.detach().double().flatten()
    return [_plain(value) for value in (*flat[:: math.ceil(len(flat) / SHOWN)], flat.mean())]


def _plain(value: Tensor | float) -> float:
    return float(f"{float(value):.7g}")


def read() -> dict[str, Numbers]:
    """Variant -> its stored numbers."""
    known: dict[str, Numbers] = json.loads(FILE.read_text())
    return known


def write(names: list[str]) -> None:
    """Store the named variants anew, else those that are missing; forget those that are gone."""
    known = read() if FILE.exists() else {}
    fresh = {name: figures(name) if name in names or name not in known else known[name] for name in VARIANTS}
    lines = [
        f'"{name}": {{\n' + ",\n".join(f"{json.dumps(key)}: {json.dumps(row)}" for key, row in numbers.items()) + "\n}"
        for name, numbers in fresh.items()
    ]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    write(sys.argv[1:])
