"""Running means, and the line that tells how training goes."""

import time
from collections.abc import Mapping

import torch
from torch import Tensor


class Means:
    """Means of scalars over an epoch. Values stay on their device until somebody asks: no wait inside a step."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.weight = 0

    def update(self, values: Mapping[str, Tensor], weight: int) -> None:
        """Add a batch's scalars; weight: its size."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach().float() * weight
        self.weight += weight

    def read(self) -> dict[str, float]:
        """The means so far; waits for the device."""
        return {name: float(total) / max(1, self.weight) for name, total in self.sums.items()}

    def as_tensor(self, device: torch.device) -> Tensor:
        """[number of values + 1] sums in order of names, then the weight: summed over processes, exact means."""
        exact = torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have nothing finer
        values = [self.sums[name].to(exact) for name in sorted(self.sums)]
        return torch.stack([*values, torch.tensor(float(self.weight), dtype=exact, device=device)])


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
        """Call when a step of that many pairs was made."""
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
