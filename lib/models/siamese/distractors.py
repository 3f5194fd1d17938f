"""What DaSiamRPN learns online: the target's features minus its distractors' (Zhu et al., ECCV 2018, eq. 2-4).

B targets, K boxes, C channels. Features are [C, 6, 6] with an L2 norm of 1; a similarity is an inner product.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...layers.siamese.roi import feature_norm, normalize_features


class FeatureSums(NamedTuple):
    """The sums of equation 4 over the frames that the tracker learned from."""

    first: Tensor  # [B, C, 6, 6] phi(z_1), of the template
    norm: Tensor  # [B] L2 norm of the template's features
    target: Tensor  # [B, C, 6, 6] sum of b_t phi(z_t)
    weight: Tensor  # [B] sum of b_t
    distractors: Tensor  # [B, C, 6, 6] sum of b_t alpha_hat sum_i alpha_i phi(d_i,t)
    mass: Tensor  # [B] sum of b_t sum_i alpha_i
    frames: Tensor  # [B] number of frames


@dataclass(frozen=True)
class LearningRule:
    """Constants of equation 4; alpha_i is 1."""

    alpha: float  # alpha hat
    eta: float
    series: bool  # b_t is the paper's growing sum; else 1 for the first frame and eta / (1 - eta) for all others
    decay: float  # factor of the earlier frames' distractors at each update

    def weight(self, frames: Tensor) -> Tensor:
        """b_t of the next frame; frames: number of frames so far, [B] -> [B]."""
        ratio = self.eta / (1 - self.eta)
        if self.series:
            return (1 - ratio ** (frames + 1)) / (1 - ratio)
        return torch.full_like(frames, ratio).masked_fill(frames == 0, 1)

    def add(
        self, before: FeatureSums, target: Tensor, distractors: Tensor, count: Tensor, *, when: Tensor
    ) -> FeatureSums:
        """The sums with one more frame, for the targets where `when` [B] is true.

        target: phi(z_t) [B, C, 6, 6]; distractors: sum of the distractors' features [B, C, 6, 6]; count: [B] number of
        distractors.
        """
        weight = self.weight(before.frames)
        after = FeatureSums(
            before.first,
            before.norm,
            before.target + _wide(weight) * target,
            before.weight + weight,
            before.distractors * self.decay + _wide(weight) * self.alpha * distractors,
            before.mass * self.decay + weight * count,
            before.frames + 1,
        )
        pairs = zip(after, before, strict=True)
        return FeatureSums(*(torch.where(when.view(-1, *[1] * (new.ndim - 1)), new, old) for new, old in pairs))


def begin(template: Tensor) -> FeatureSums:
    """The sums before the first frame; template: the trunk's features of the template, [B, C, 6, 6]."""
    none, nothing = template.new_zeros(len(template)), torch.zeros_like(template)
    return FeatureSums(normalize_features(template), feature_norm(template), nothing, none, nothing, none, none)


def first_frame(template: Tensor, learning: LearningRule) -> FeatureSums:
    """The sums after the template's own frame, in which no distractors are searched."""
    start = begin(template)
    none = torch.zeros_like(start.weight)
    return learning.add(start, start.first, torch.zeros_like(template), none, when=none == 0)


def discriminator(known: FeatureSums) -> Tensor:
    """tau of equation 4, [B, C, 6, 6]: candidates are ranked by their similarity to it."""
    return known.target / _wide(known.weight) - known.distractors / _wide(known.mass.masked_fill(known.mass == 0, 1))


def similarity(pattern: Tensor, features: Tensor) -> Tensor:
    """Inner products: [B, C, 6, 6], [B, K, C, 6, 6] -> [B, K]."""
    return (pattern[:, None] * features).flatten(2).sum(2)


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None, None]
