"""Losses of the DiMP family: hinge-like regression of score maps (DiMP, ICCV 2019), Kullback-Leibler divergences of
score maps and of sampled boxes (PrDiMP, CVPR 2020).

B samples, K boxes of a sample, H' W' cells of a score map.
"""

import math

import torch
from torch import Tensor

_SMALLEST = 1e-10  # is added to densities before they divide


def hinged_square_loss(scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Mean squared error of scores, any shape; where the label is below `threshold` the score should be at most zero
    (DiMP, equation 9)."""
    background = labels < threshold
    return (torch.where(background, scores.relu(), scores) - labels.masked_fill(background, 0)).square().mean()


def grid_divergence(scores: Tensor, density: Tensor) -> Tensor:
    """The divergence of a density on the cells from the softmax of the scores, without the density's own entropy
    (PrDiMP, equation 6): [..., H', W'] twice -> mean of all maps. The density's sum over the cells is 1."""
    return (scores.flatten(-2).logsumexp(-1) - (scores * density).sum((-2, -1))).mean()


def sampled_divergence(scores: Tensor, sampling: Tensor, density: Tensor) -> Tensor:
    """The divergence of a density of boxes from the one that the scores are the logarithm of, integrated by sampled
    boxes (PrDiMP, equation 8): [B, K] each -> mean over the samples.

    sampling: the density that the boxes were drawn from; density: what the scores should be, at the boxes.
    """
    sampling = sampling + _SMALLEST
    total = (scores - sampling.log()).logsumexp(1) - math.log(scores.shape[1])
    return (total - (scores * density / sampling).mean(1)).mean()
