"""ATOM's classifier: a projection, a filter and an activation, learned for each target (CVPR 2019, section 3.2).

N images of a target, C channels of the features, D of the projected ones, n cells on each side, k side of the filter.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import elu, leaky_relu

from .gauss_newton import Values, gauss_newton
from .target_filter import apply_filter

_SMALLEST = 1e-10  # is added to a mean square that divides


class ResponseRules(NamedTuple):
    """How the classifier is learned."""

    least: float  # minus the smallest response of the activation
    filter_regularization: float
    projection_regularization: float


def normalize_power(features: Tensor) -> Tensor:
    """Scales each image's features to a mean square of 1: [N, C, n, n] -> same shape"""
    return features / (features.square().mean((1, 2, 3), keepdim=True) + _SMALLEST).sqrt()


def project(features: Tensor, projection: Tensor) -> Tensor:
    """[N, C, n, n] and [D, C] -> [N, D, n, n]"""
    return (projection @ features.flatten(2)).unflatten(2, features.shape[2:])


def respond(features: Tensor, filters: Tensor) -> Tensor:
    """Correlation with a result as large as the features: [B, N, D, n, n] and [B, D, k, k] -> [B, N, n, n]. Of an even
    filter's score map the last row and column are left out."""
    return apply_filter(features, filters)[..., : features.shape[-2], : features.shape[-1]]


def activate(response: Tensor, least: float) -> Tensor:
    """Negative responses approach `-least`: any shape -> same shape"""
    return elu(leaky_relu(response, 1 / least), least)


def learn_both(
    start: tuple[Tensor, Tensor], samples: tuple[Tensor, Tensor, Tensor], rules: ResponseRules, steps: Sequence[int]
) -> list[Values]:
    """Filter [1, D, k, k] and projection [D, C] at the start and after each Gauss-Newton step.

    samples: features [N, C, n, n], labels [N, n, n] and weights [N]; steps: conjugate gradient iterations of each.
    """
    features, labels, weights = samples
    roots = weights.sqrt()[:, None, None]
    first, second = rules.filter_regularization, rules.projection_regularization

    def residuals(filters: Tensor, projection: Tensor) -> Values:
        response = respond(project(features, projection)[None], filters)[0]
        return roots * (activate(response, rules.least) - labels), first**0.5 * filters, second**0.5 * projection

    return gauss_newton(residuals, start, steps, (1 / first, 1 / second))


def learn_filter(
    start: Tensor, samples: tuple[Tensor, Tensor, Tensor], rules: ResponseRules, iterations: int
) -> Tensor:
    """The filter [1, D, k, k] after one Gauss-Newton step. samples: projected features [1, N, D, n, n], labels [1, N,
    n, n] and weights [1, N]."""
    features, labels, weights = samples
    roots = weights.sqrt()[..., None, None]

    def residuals(filters: Tensor) -> Values:
        response = activate(respond(features, filters), rules.least)
        return roots * (response - labels), rules.filter_regularization**0.5 * filters

    return gauss_newton(residuals, (start,), [iterations])[-1][0]
