"""Optimisers of a target's filter: steepest descent with the step that is best for a quadratic model of the loss, with
learned parts. Gauss-Newton of DiMP (ICCV 2019, section 3.3), Newton of PrDiMP (CVPR 2020, section 4.2).

B targets, N images of a target, C channels, H W cells of the features, H' W' cells of the score map, k side of a
filter. Boxes are xywh, pixels of their image.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .target_filter import apply_filter, centre_in_cells, filter_gradient, radius_map

_LEAST_CURVATURE = 1e-8
_STEP = 0.1  # cells between two values of a learned function


class Problem(NamedTuple):
    """What does not change while a filter is optimised."""

    features: Tensor  # [B, N, C, H, W]
    weights: Tensor  # [B, N] of the images
    target: Any  # what the scores should be, see the optimiser


class Descent(NamedTuple):
    """The course of an optimisation."""

    filters: list[Tensor]  # iterations + 1 times [B, C, k, k]; the first is the given one
    losses: list[Tensor]  # the loss of each of them, [B]; empty where it was not asked for


class SteepestDescent(nn.Module, ABC):
    """The loop of both optimisers. Everything is differentiable, for training."""

    size: int  # k

    def __init__(self, *, stride: int, step: float, regularization: float, least_regularization: float):
        """stride: pixels between cells of the features; step: initial factor of the step; regularization: initial
        weight of the filter's norm, whose square is at least that of least_regularization."""
        super().__init__()
        self.stride, self.least = stride, least_regularization**2
        self.log_step_length = nn.Parameter(torch.full((1,), math.log(step)))
        self.filter_reg = nn.Parameter(torch.full((1,), regularization))

    def forward(
        self,
        filters: Tensor,
        features: Tensor,
        boxes: Tensor,
        weights: Tensor | None = None,
        *,
        iterations: int,
        with_losses: bool = False,
    ) -> Descent:
        """filters [B, C, k, k], features [B, N, C, H, W], boxes [B, N, 4], weights of the images [B, N] (None: equal,
        with a sum of 1) -> Descent"""
        if weights is None:
            weights = features.new_full(features.shape[:2], 1 / features.shape[1])
        problem = Problem(features, weights, self.make_target(features, boxes, filters.shape[-1]))
        course, losses = [filters], []
        for _ in range(iterations):
            scores = apply_filter(features, filters)
            if with_losses:
                losses.append(self.loss(problem, scores, filters))
            filters = filters - self.log_step_length.exp() * self.step(problem, scores, filters)
            course.append(filters)
        if with_losses:
            losses.append(self.loss(problem, apply_filter(features, filters), filters))
        return Descent(course, losses)

    @abstractmethod
    def make_target(self, features: Tensor, boxes: Tensor, size: int) -> Any:
        """What the scores of the images should be: features [B, N, C, H, W], boxes [B, N, 4]; size: k."""

    @abstractmethod
    def loss(self, problem: Problem, scores: Tensor, filters: Tensor) -> Tensor:
        """The loss of each target: scores [B, N, H', W'] -> [B]"""

    @abstractmethod
    def step(self, problem: Problem, scores: Tensor, filters: Tensor) -> Tensor:
        """The descent direction times the best step of the quadratic model: scores [B, N, H', W'] -> [B, C, k, k]"""

    def regularization(self) -> Tensor:
        """The weight of the filter's squared norm."""
        return self.filter_reg.square().clamp(min=self.least)

    def _distances(self, features: Tensor, boxes: Tensor, size: int) -> Tensor:
        """The distance of each cell from the target's centre in cells: [B, N, H', W']"""
        height, width = (cells + 1 - size % 2 for cells in features.shape[-2:])
        return radius_map(centre_in_cells(boxes, self.stride, size), height, width)


class RadialMaps(NamedTuple):
    """What DiMP predicts from the distance of each cell: [B, N, H', W']."""

    label: Tensor  # the score that a cell should have
    mask: Tensor  # 1: scores above and below the label count; 0: only scores above it (hinge)
    weight: Tensor  # of the cell


class GaussNewton(SteepestDescent):
    """DiMP: a squared loss whose label, hinge mask and weights are learned functions of the distance."""

    def __init__(
        self, *, stride: int = 16, step: float = 0.9, regularization: float = 0.1, sigma: float = 0.9, bins: int = 100
    ):
        """sigma: deviation of the initial label in cells; bins: values of the learned functions."""
        super().__init__(stride=stride, step=step, regularization=regularization, least_regularization=1e-3)
        distance = _STEP * torch.arange(bins, dtype=torch.float32)
        label = torch.exp(-0.5 * (distance / sigma).square())
        self.label_map_predictor = RadialTable(label - label.min())
        self.target_mask_predictor = nn.Sequential(RadialTable(3 * torch.tanh(2 - distance)), nn.Sigmoid())
        self.spatial_weight_predictor = RadialTable(torch.ones(bins))

    def make_target(self, features: Tensor, boxes: Tensor, size: int) -> RadialMaps:
        """The learned functions of the distance."""
        distances = self._distances(features, boxes, size)
        parts = (self.label_map_predictor, self.target_mask_predictor, self.spatial_weight_predictor)
        return RadialMaps(*(part(distances) for part in parts))

    def loss(self, problem: Problem, scores: Tensor, filters: Tensor) -> Tensor:
        """As SteepestDescent: equation 1 of the paper."""
        residuals, _, _ = self._residuals(problem, scores)
        return residuals.square().sum((1, 2, 3)) + self.regularization() * filters.square().sum((1, 2, 3))

    def step(self, problem: Problem, scores: Tensor, filters: Tensor) -> Tensor:
        """As SteepestDescent: the gradient, and the curvature of the Gauss-Newton approximation along it."""
        residuals, slope, weight = self._residuals(problem, scores)
        factor, regularization = slope * weight, self.regularization()
        gradient = filter_gradient(problem.features, residuals * factor, filters.shape[-1]) + regularization * filters
        along = factor * apply_filter(problem.features, gradient)
        square = gradient.square().sum((1, 2, 3))
        curvature = along.square().sum((1, 2, 3)) + regularization * square
        return (square / curvature.clamp(min=_LEAST_CURVATURE))[:, None, None, None] * gradient

    def _residuals(self, problem: Problem, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The weighted residuals, the slope of the activation, the weights of the cells: all [B, N, H', W']"""
        maps: RadialMaps = problem.target
        weight = problem.weights.sqrt()[..., None, None] * maps.weight
        activated = 0.5 * (1 - maps.mask) * scores.abs() + 0.5 * (1 + maps.mask) * scores
        slope = 0.5 * (1 - maps.mask) * scores.sign() + 0.5 * (1 + maps.mask)
        return weight * (activated - maps.label), slope, weight


class Newton(SteepestDescent):
    """PrDiMP: the Kullback-Leibler divergence from a Gaussian at the target's centre to the softmax of the scores."""

    def __init__(
        self,
        *,
        stride: int = 16,
        step: float = 1.0,
        regularization: float = 0.05,
        sigma: float = 0.9,
        damping: float = 0.05,
        least_regularization: float = 0.05,
    ):
        """sigma: deviation of the Gaussian in cells; damping: is added to the curvature along the gradient."""
        super().__init__(
            stride=stride, step=step, regularization=regularization, least_regularization=least_regularization
        )
        self.sigma, self.damping = sigma, damping

    def make_target(self, features: Tensor, boxes: Tensor, size: int) -> Tensor:
        """The Gaussian with a sum of 1: [B, N, H', W']"""
        density = torch.exp(-0.5 * (self._distances(features, boxes, size) / self.sigma).square())
        return density / (density.sum((2, 3), keepdim=True) + 1e-8)

    def loss(self, problem: Problem, scores: Tensor, filters: Tensor) -> Tensor:
        """As SteepestDescent: equation 6 of the paper, without the label's own entropy."""
        divergence = scores.flatten(2).logsumexp(2) - (problem.target * scores).sum((2, 3))
        return (problem.weights * divergence).sum(1) + self.regularization() * filters.square().sum((1, 2, 3))

    def step(self, problem: Problem, scores: Tensor, filters: Tensor) -> Tensor:
        """As SteepestDescent: the gradient, and the curvature of the loss along it."""
        share = scores.flatten(2).softmax(2).view_as(scores)
        weights, regularization = problem.weights[..., None, None], self.regularization()
        gradient = filter_gradient(problem.features, weights * (share - problem.target), filters.shape[-1])
        gradient = gradient + regularization * filters
        along = apply_filter(problem.features, gradient)
        variance = (share * along.square()).sum((2, 3)) - (share * along).sum((2, 3)).square()
        square = gradient.square().sum((1, 2, 3))
        curvature = (problem.weights * variance).sum(1).clamp(min=0) + (regularization + self.damping) * square
        return (square / curvature.clamp(min=_LEAST_CURVATURE))[:, None, None, None] * gradient


class RadialTable(nn.Module):
    """A learned function of a distance: a value every tenth of a cell, linear between them, constant behind the
    last."""

    def __init__(self, values: Tensor):
        """values: [bins] at the start."""
        super().__init__()
        self.weight = nn.Parameter(values.view(1, -1, 1, 1))

    def forward(self, distances: Tensor) -> Tensor:
        """Any shape, in cells -> same shape"""
        values = self.weight.flatten()
        place = (distances / _STEP).clamp(max=len(values) - 1)
        low = place.floor().clamp(max=len(values) - 2)
        share, index = place - low, low.long()
        return values[index] * (1 - share) + values[index + 1] * share
