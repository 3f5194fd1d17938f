"""What RT-MDNet learns about one target: the fully connected layers, a box regressor, and the samples for them.

K samples, D features of a box, H hidden features.
"""

from collections import deque
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...layers.trunks.mdnet import HeadWeights, binary_loss, draw_masks, score_boxes
from .box_regression import BoxRegressor, fit_regressor


class LearningRates(NamedTuple):
    """How one update learns."""

    iterations: int
    rate: float  # of the shared layers
    branch_factor: float  # rate of the binary branch relative to `rate`
    momentum: float = 0.9
    decay: float = 5e-4
    clip: float = 10.0  # largest norm of the gradients


class Batches(NamedTuple):
    """The samples of one iteration."""

    positive: int
    negative: int  # the hardest of the candidates
    candidates: int  # negatives that are looked at


class Learner:
    """One target's weights and samples. It is changed in place while the target is followed."""

    def __init__(self, weights: HeadWeights, frames: tuple[int, int]):
        """frames: the number of frames whose positive and whose negative samples are kept."""
        self.weights = weights
        self.regressor: BoxRegressor | None = None
        self.positive: deque[Tensor] = deque(maxlen=frames[0])  # [K, D] for each frame
        self.negative: deque[Tensor] = deque(maxlen=frames[1])

    def fit_boxes(self, features: Tensor, boxes: Tensor, truth: Tensor, alpha: float) -> None:
        """Learn box regression: features [K, D], boxes [K, 4], truth [4] xywh. Without a usable box there is none."""
        self.regressor = fit_regressor(features, boxes, truth, alpha)

    def add(self, positive: Tensor, negative: Tensor) -> None:
        """Keep the samples of a frame, each [K, D]. Those of the oldest frame may leave."""
        self.positive.append(positive)
        self.negative.append(negative)

    def learn_kept(self, frames: int, rates: LearningRates, batches: Batches, random: np.random.Generator) -> None:
        """Learn from the positive samples of the last `frames` frames and all negative ones."""
        positive = torch.cat(list(self.positive)[-frames:])
        self.learn(positive, torch.cat(list(self.negative)), rates, batches, random)

    def learn(
        self, positive: Tensor, negative: Tensor, rates: LearningRates, batches: Batches, random: np.random.Generator
    ) -> None:
        """Stochastic gradient descent on samples on the target and beside it: [K, D] each. Nothing is learned where
        one of them is missing."""
        if not len(positive) or not len(negative):
            return
        chosen, looked_at = _Order(len(positive), random), _Order(len(negative), random)
        masks = torch.Generator().manual_seed(int(random.integers(2**63)))
        with torch.enable_grad():
            free = HeadWeights._make(part.detach().clone().requires_grad_() for part in self.weights)
            optimizer = torch.optim.SGD(
                [
                    {"params": free[:4], "lr": rates.rate},
                    {"params": free[4:], "lr": rates.rate * rates.branch_factor},
                ],
                momentum=rates.momentum,
                weight_decay=rates.decay,
            )
            for _ in range(rates.iterations):
                good = positive[chosen.take(batches.positive)]
                bad = hardest(free, negative[looked_at.take(batches.candidates)], batches.negative)
                drop = draw_masks(len(good) + len(bad), free.fc5.shape[0], masks)
                moved = (drop[0].to(good.device), drop[1].to(good.device))
                scores = score_boxes(free, torch.cat([good, bad]), moved)
                loss = binary_loss(scores[: len(good)], scores[len(good) :])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(free, rates.clip)
                optimizer.step()
        self.weights = HeadWeights._make(part.detach() for part in free)


def hardest(weights: HeadWeights, negative: Tensor, count: int) -> Tensor:
    """The negative samples that look most like the target: [K, D] -> [count, D]."""
    with torch.no_grad():
        scores = score_boxes(weights, negative)[:, 1]
        return negative[scores.topk(min(count, len(negative))).indices]


class _Order:
    """Indices in random order, in a new order each time all have been taken."""

    def __init__(self, count: int, random: np.random.Generator):
        self._count, self._random = count, random
        self._rest = np.zeros(0, np.int64)

    def take(self, number: int) -> Tensor:
        while len(self._rest) < number:
            self._rest = np.concatenate([self._rest, self._random.permutation(self._count)])
        taken, self._rest = np.split(self._rest, [number])
        return torch.from_numpy(taken)
