"""Seconds of an action on a device, and what the device can do at best: a matrix product and a copy."""

import time
from collections.abc import Callable
from typing import Any

import torch

#: A GPU needs larger matrices to be busy, and more of them than one between two waits.
_SIDES = {"cpu": 2048}
_LARGE_SIDE, _TURNS = 8192, 10
_COPIED = {"cpu": 2**28}  # bytes, more than any cache holds
_MUCH_COPIED = 2**30


def seconds_of(action: Callable[[], Any], device: torch.device) -> tuple[float, float]:
    """Seconds until the device has finished `action`: wall time, and time on the cores."""
    begin, begin_core = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        action()
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()
    return time.perf_counter() - begin, time.process_time() - begin_core


def measure_device(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Operations per second of a large matrix product, and bytes per second, read and written, of a large copy; on a
    CPU per second of core time."""
    side, turns = _SIDES.get(device.type, _LARGE_SIDE), 1 if device.type == "cpu" else _TURNS
    matrix = torch.randn(side, side, device=device).to(dtype)
    source = torch.ones(_COPIED.get(device.type, _MUCH_COPIED), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = torch.empty_like(matrix)

    def multiply() -> None:
        for _ in range(turns):
            torch.matmul(matrix, matrix, out=product)

    def copy() -> None:
        for _ in range(turns):
            target.copy_(source)

    core = int(device.type == "cpu")  # other programs hardly change the time on the cores
    best = [min(seconds_of(action, device)[core] for _ in range(5)) / turns for action in (multiply, copy)]
    return {"square_operations_per_s": 2 * side**3 / best[0], "copy_bytes_per_s": 2 * len(source) / best[1]}
