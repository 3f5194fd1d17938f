"""What the networks and methods of ATOM and the DiMP family hand to each other.

B targets, N samples of a target, C channels, n' cells on each side of a score map, S side of a crop in pixels.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...core.tree import Owned
from ...layers.filters.iou_net import IoUFeatures, Modulation
from ...layers.trunks.imagenet_resnet import STRIDES
from ..sample_memory import SampleMemory

FINE, COARSE = "layer2", "layer3"  # the backbone's maps that are used
STRIDE = STRIDES[COARSE]


class Maps(NamedTuple):
    """The backbone's maps, in float32."""

    fine: Tensor  # [..., C, S / 8, S / 8]
    coarse: Tensor  # [..., C, S / 16, S / 16]


class Seen(NamedTuple):
    """What a network computes from a search region, whatever the target."""

    features: Tensor  # [B, C, S / 16, S / 16] of the classifier
    iou: IoUFeatures  # of IoU-Net


class Embedded(NamedTuple):
    """What the network alone makes of a template."""

    filters: Tensor | None  # [B, C, k, k]; ATOM's network has none
    modulation: Modulation
    size: Tensor  # [B, 2] width and height of the target in crop units


class Prediction(NamedTuple):
    """The network's output for a search region."""

    scores: Tensor  # [B, n', n']
    seen: Seen
    size: Tensor  # [B, 2] as `Embedded`


class Learner:
    """What one target owns: its samples and its random numbers. Changed in place."""

    def __init__(self, samples: SampleMemory, seed: int):
        self.samples, self.seed, self.age = samples, seed, 0

    def draw(self, *shape: int) -> Tensor:
        """The numbers of this frame, uniform in [0, 1)."""
        return torch.from_numpy(np.random.default_rng([self.seed, self.age]).random(shape, np.float32))


class Memory(NamedTuple):
    """What tracking keeps of a target."""

    filters: Any  # a tree [B, ...]
    modulation: Modulation
    learner: Owned  # B times Learner
    last: Tensor | None = None  # [B, 2] x y in crop units: the last place, where it is not the middle of the region
