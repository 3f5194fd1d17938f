"""Running means, and the speed of training."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Means:
    """Means of scalars over an epoch. Values stay on their device until they are read, so that no step waits."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.weights: dict[str, Any] = {}

    def update(self, values: Mapping[str, Tensor], weight: int) -> None:
        """Add scalar means of a batch. weight: size of the batch; a value of shape [2] is a sum and its own weight."""
        for name, value in values.items():
            value = value.detach().float()
            total, count = value.unbind() if value.ndim else (value * weight, weight)
            self.sums[name] = self.sums.get(name, 0) + total
            self.weights[name] = self.weights.get(name, 0) + count

    def read(self) -> dict[str, float]:
        """The means so far, of values with a weight above 0. Waits for the device."""
        weights = {name: float(weight) for name, weight in self.weights.items()}
        return {name: float(total) / weights[name] for name, total in self.sums.items() if weights[name]}

    def as_tensor(self, device: torch.device) -> Tensor:
        """[2, number of values] sums and weights in order of names. Summed over processes they give exact means."""
        exact = torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no float64

        def row(values: Mapping[str, Any]) -> Tensor:
            return torch.stack([torch.as_tensor(values[name], device=device).to(exact) for name in sorted(values)])

        return torch.stack([row(self.sums), row(self.weights)])

    def replace(self, total: Tensor) -> None:
        """Set sums and weights from a tensor of the form of `as_tensor`: the sum over all processes."""
        sums, weights = total.unbind()
        names = sorted(self.sums)
        self.sums = dict(zip(names, sums.unbind(), strict=True))
        self.weights = dict(zip(names, weights.unbind(), strict=True))


class Clock:
    """Speed, share of the time spent waiting for data, and remaining time."""

    def __init__(self, steps_to_go: int):
        self.start = self.mark = time.perf_counter()
        self.waiting = 0.0
        self.pairs = self.steps = 0
        self.steps_to_go = steps_to_go

    def data_ready(self) -> None:
        """Call when a batch has arrived."""
        self.waiting += time.perf_counter() - self.mark

    def step_done(self, pairs: int) -> None:
        """Call after a step; pairs: number of its samples."""
        self.pairs += pairs
        self.steps += 1
        self.mark = time.perf_counter()

    def read(self) -> dict[str, float]:
        """Pairs per second, share of the time spent waiting for data, seconds until training ends."""
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
