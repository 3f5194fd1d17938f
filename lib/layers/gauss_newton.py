"""Gauss-Newton steps by conjugate gradients, for any differentiable residuals (ATOM, CVPR 2019, section 3.2).

Values are tuples of tensors of any shapes: the free parameters, or residuals.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Values = tuple[Tensor, ...]
_SMALLEST = 1e-30  # of a curvature that is divided by


def gauss_newton(
    residuals: Callable[..., Values], start: Values, steps: Sequence[int], scales: Sequence[float] | None = None
) -> list[Values]:
    """The parameters at the start and after each step of minimising the sum of the squared residuals.

    residuals: parameters -> residuals, by operations that can be differentiated twice; steps:
    the number of conjugate gradient iterations of each step; scales: preconditioner, a factor for each parameter's part
    of the gradient; None: none, and Polak-Ribiere's formula in place of Fletcher-Reeves'. Without gradients outside.
    """
    with torch.no_grad():
        course = [tuple(part.detach() for part in start)]
        for iterations in steps:
            course.append(_step(residuals, course[-1], iterations, scales))
        return course


def _step(
    residuals: Callable[..., Values], start: Values, iterations: int, scales: Sequence[float] | None
) -> Values:
    pulled = torch.func.vjp(residuals, *start)
    known, pull = pulled[0], pulled[1]
    # J^T v is linear in v, so that the transpose of its derivative is J, without forward differentiation.
    push = torch.func.vjp(pull, known)[1]

    def curve(direction: Values) -> Values:
        """J^T J times a direction."""
        return pull(push(direction)[0])

    remainder = _scale(pull(known), -1.0)
    moved = tuple(map(torch.zeros_like, start))
    direction: Values | None = None
    before, product = remainder, remainder[0].new_ones(())
    for _ in range(iterations):
        ready = remainder if scales is None else tuple(a * s for a, s in zip(remainder, scales, strict=True))
        last, product = product, _dot(remainder, ready)
        if direction is None:
            direction = ready
        else:
            change = product if scales is not None else product - _dot(before, ready)
            ratio = _divide(change, last).clamp(min=0)
            direction = _add(ready, direction, ratio)
        curved = curve(direction)
        length = _divide(product, _dot(direction, curved))
        before = remainder
        moved, remainder = _add(moved, direction, length), _add(remainder, curved, -length)
    return _add(start, moved, torch.ones_like(product))


def _dot(first: Values, second: Values) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(first, second, strict=True)]).sum()


def _scale(values: Values, factor: float) -> Values:
    return tuple(part * factor for part in values)


def _add(values: Values, direction: Values, length: Tensor) -> Values:
    return tuple(a + length * b for a, b in zip(values, direction, strict=True))


def _divide(value: Tensor, by: Tensor) -> Tensor:
    """The quotient, 0 where the divisor is."""
    return torch.where(by.abs() > _SMALLEST, value / torch.where(by.abs() > _SMALLEST, by, 1), 0)
