"""Conjugate gradients for systems that are only known as a product, with a direction that may outlast a call (ECO, CVPR
2017, section 3.4; ATOM, CVPR 2019).

A vector is a tuple of tensors.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

Vector = tuple[Tensor, ...]
Product = Callable[[Vector], Vector]


class Direction(NamedTuple):
    """What a later call goes on from."""

    step: Vector
    residual: Vector
    rho: Tensor  # scalar: the residual's norm under the preconditioner


def conjugate_gradient(
    product: Product,
    start: Vector,
    residual: Vector,
    iterations: int,
    *,
    inner: Callable[[Vector, Vector], Tensor],
    precondition: Product = lambda vector: vector,
    last: Direction | None = None,
    forget: float = 1.0,
) -> tuple[Vector, Direction | None]:
    """A better solution x of A x = b, and the direction for a later call.

    product: x -> A x, symmetric and positive under `inner`; start: x; residual: b - A x; precondition: an approximate
    inverse of A; last: the direction of an earlier call, which counts `forget` (in (0, 1]) times as much. The factor of
    the last direction is Polak and Ribiere's, at least 0. Where the residual is 0, x is returned as it is.
    """
    solution, direction = start, last
    if last is not None:
        direction = last._replace(rho=last.rho / forget)
    for number in range(iterations):
        moved = precondition(residual)
        rho = inner(residual, moved)
        if not rho > 0:
            break
        step = moved
        if direction is not None:
            factor = ((rho - inner(direction.residual, moved)) / direction.rho).clamp(min=0)
            step = add(moved, direction.step, factor)
        change = product(step)
        length = rho / inner(step, change)
        direction = Direction(step, residual, rho)
        solution = add(solution, step, length)
        if number < iterations - 1:
            residual = add(residual, change, -length)
    return solution, direction


def add(a: Vector, b: Vector, factor: Tensor | float = 1.0) -> Vector:
    """a + factor b"""
    return tuple(one + factor * other for one, other in zip(a, b, strict=True))
