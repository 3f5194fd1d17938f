"""Running means, and the speed of training."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Means:
    """Means of scalars over an epoch. Values stay on their device until they are read: no step waits for them."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.weights: dict[str, Any] = {}

    def update(self, values: Mapping[str, Tensor], weight: int) -> None:
        """Add the means of a batch, scalars; weight: its size. A [2] value is a sum and the number of its terms, which
        is its weight."""
        for name, value in values.items():
            value = value.detach().float()
            total, count = value.unbind() if value.ndim else (value * weight, weight)
            self.sums[name] = self.sums.get(name, 0) + total
            self.weights[name] = self.weights.get(name, 0) + count

    def read(self) -> dict[str, float]:
        """The means so far, of figures with a weight above 0; waits for the device."""
        weights = {name: float(weight) for name, weight in self.weights.items()}
        return {name: float(total) / weights[name] for name, total in self.sums.items() if weights[name]}

    def as_tensor(self, device: torch.device) -> Tensor:
        """[2, number of values] sums and weights in order of names: summed over processes, exact means."""
        exact = torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have nothing finer

        def row(values: Mapping[str, Any]) -> Tensor:
            return torch.stack([torch.as_tensor(values[name], device=device).to(exact) for name in sorted(values)])

        return torch.stack([row(self.sums), row(self.weights)])

    def replace(self, total: Tensor) -> None:
        """Set sums and weights to a tensor as `as_tensor` makes it: the sum of all processes'."""
        sums, weights = total.unbind()
        names = sorted(self.sums)
        self.sums = dict(zip(names, sums.unbind(), strict=True))
        self.weights = dict(zip(names, weights.unbind(), strict=True))


class Clock:
    """Speed, share of time spent waiting for data, and time to go."""

    def __init__(self, steps_to_go: int):
        self.start = self.mark = time.perf_counter()
        self.waiting = 0.0
        self.pairs = self.steps = 0
        self.steps_to_go = steps_to_go

    def data_ready(self) -> None:
        """Call when a batch has arrived."""
        self.waiting += time.perf_counter() - self.mark

    def step_done(self, pairs: int) -> None:
        """Call when a step of that many samples was made."""
        self.pairs += pairs
        self.steps += 1
        self.mark = time.perf_counter()

    def read(self) -> dict[str, float]:
        """pairs per second, share of the time spent waiting for data, seconds to the end of training."""
        elapsed = max(self.mark - self.start, 1e-9)
        to_go = elapsed / max(1, self.steps) * (self.steps_to_go - self.steps)
        return {"pairs_per_s": self.pairs / elapsed, "data_wait": self.waiting / elapsed, "eta_s": to_go}


def format_duration(seconds: float) -> str:
    """Hours, minutes, seconds.

    >>> format_duration(3661)
    '1:01:01'
    """
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
