"""Gauss-Newton steps by conjugate gradients, for any differentiable residuals (ATOM, CVPR 2019, section 3.2).

Values are tuples of tensors of any shapes: the free parameters, or residuals.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .conjugate_gradient import add, conjugate_gradient

Values = tuple[Tensor, ...]


def gauss_newton(
    residuals: Callable[..., Values], start: Values, steps: Sequence[int], scales: Sequence[float] | None = None
) -> list[Values]:
    """The parameters at the start and after each step of minimising the sum of the squared residuals.

    residuals: parameters -> residuals, by operations that can be differentiated twice; steps: the number of conjugate
    gradient iterations of each step; scales: preconditioner, a factor for each parameter's part of the gradient. The
    results have no gradients.
    """
    course = [tuple(part.detach() for part in start)]
    for iterations in steps:
        course.append(_step(residuals, course[-1], iterations, scales or [1.0] * len(start)))
    return course


def _step(residuals: Callable[..., Values], start: Values, iterations: int, scales: Sequence[float]) -> Values:
    pulled = torch.func.vjp(residuals, *start)
    known, pull = pulled[0], pulled[1]
    # J^T v is linear in v, so that the transpose of its derivative is J, without forward differentiation.
    push = torch.func.vjp(pull, known)[1]
    moved, _ = conjugate_gradient(
        lambda direction: pull(push(direction)[0]),
        tuple(map(torch.zeros_like, start)),
        tuple(-part for part in pull(known)),
        iterations,
        inner=_inner,
        precondition=lambda vector: tuple(part * scale for part, scale in zip(vector, scales, strict=True)),
    )
    return add(start, moved)


def _inner(first: Values, second: Values) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(first, second, strict=True)]).sum()
