"""Checks what several processes exchange in training: gradients and running statistics, over NCCL or Gloo.

Job and answer are JSON on the standard streams. A job holds script, config, set, batch (pairs of each process), ranks
(numbers of processes to try, the first that works counts), device, seconds (for each try), cache.
"""

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from easydict import EasyDict
from torch import Tensor, nn

from ...core.config import load_config
from ...core.distributed import average_buffers, own_device
from ...core.errors import InputError
from ...core.measure.benchmark import measurement_command, measurement_environment
from ...core.measure.job import MeasurementJob, answer_job
from ...models import build_model
from ...models.base import PairBatch
from ..step import SharedStep, TrainStep, autocast, to_device

_MODULE = f"{__package__}.exchange_job"
_RANK = "RGBT_EXCHANGE"  # environment variable of a process of a try: the folder of its results
_PAUSE = 0.5  # seconds, in which the threads of the exchange release their tensors


def check(job: MeasurementJob) -> MeasurementJob:
    """Processes and backend; the largest difference between exchanged gradients and the mean of those of the processes
    alone, relative to the largest gradient, likewise of running statistics; and how the tries before ended."""
    errors: dict[str, str] = {}
    for ranks in job["ranks"]:
        with tempfile.TemporaryDirectory() as folder:
            error = _try(job, ranks, Path(folder))
            if not error:
                return _compare(ranks, Path(folder)) | {"not_possible": errors}
            errors[str(ranks)] = error
    raise InputError("; ".join(f"{ranks} processes: {error.splitlines()[-1]}" for ranks, error in errors.items()))


def _try(job: MeasurementJob, ranks: int, folder: Path) -> str:
    """Run the processes; "" or the last lines of one that failed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    known = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(ranks), _RANK: str(folder)}
    logs = [folder / f"{rank}.log" for rank in range(ranks)]
    processes = []
    for rank, log in enumerate(logs):
        own = {**measurement_environment(), **known, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        with open(log, "w", encoding="utf-8") as file:
            process = subprocess.Popen(
                measurement_command(_MODULE), env=own, stdin=subprocess.PIPE, stdout=file, stderr=file, text=True
            )
        processes.append(process)
    try:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(job))
            process.stdin.close()
        statuses = [process.wait(job["seconds"]) for process in processes]
    except subprocess.TimeoutExpired:
        return f"not finished after {job['seconds']} s"
    finally:
        for process in processes:
            process.kill()
            process.wait()
    failed = [log.read_text(errors="replace") for log, status in zip(logs, statuses, strict=True) if status]
    return "\n".join(failed[0].strip().splitlines()[-12:]) if failed else ""


def _compare(ranks: int, folder: Path) -> MeasurementJob:
    """What the processes wrote, compared."""
    found: list[dict[str, Any]] = [dict(np.load(folder / f"{rank}.npz")) for rank in range(ranks)]

    def gap(alone: str, exchanged: str) -> float:
        mean = np.mean([one[alone] for one in found], axis=0)
        return float(max(np.abs(one[exchanged] - mean).max() for one in found) / np.abs(mean).max())

    return {
        "ranks": ranks,
        "backend": str(found[0]["backend"]),
        "gradients": gap("alone", "exchanged"),
        "buffers": gap("own_buffers", "mean_buffers"),
        "differ": float(np.abs(found[0]["alone"] - found[-1]["alone"]).max()),
    }


def take_part(job: MeasurementJob) -> MeasurementJob:
    """One process of a try: gradients of its own pairs, alone and exchanged; running statistics before and after they
    are averaged."""
    device = own_device(job["device"])
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=ranks)
    cfg = load_config(job["script"], job["config"], job["set"])
    torch.manual_seed(0)
    model = build_model(cfg).to(device)
    own = _noise(cfg, job["batch"], model.modalities)
    batch = to_device(own.apply(lambda part: part.roll(rank, -1)), device, model.normalize)
    step = SharedStep(TrainStep(model))
    results: dict[str, Any] = {"backend": np.array(dist.get_backend())}
    for name in ("alone", "exchanged"):
        torch.manual_seed(rank)
        model.zero_grad(set_to_none=True)
        with autocast(cfg, device):
            losses, _ = (step.module if name == "alone" else step)(batch)
        sum(losses.values(), torch.zeros((), device=device)).backward()
        results[name] = _flat(parameter.grad for parameter in model.parameters() if parameter.grad is not None)
    results["own_buffers"] = _flat(_statistics(model))
    average_buffers(model)
    results["mean_buffers"] = _flat(_statistics(model))
    np.savez(Path(os.environ[_RANK], f"{rank}.npz"), **results)
    del step
    time.sleep(_PAUSE)
    dist.destroy_process_group()
    return {}


def _noise(cfg: EasyDict, pairs: int, modalities: int) -> PairBatch:
    """A batch in the form of the loader's: images [B, M, 3, S, S] uint8, boxes in the middle of their crops."""
    generator = torch.Generator().manual_seed(0)
    box = torch.tensor([0.375, 0.375, 0.25, 0.25]).expand(pairs, 4)

    def images(size: int) -> torch.Tensor:
        return torch.randint(0, 256, (pairs, modalities, 3, size, size), generator=generator, dtype=torch.uint8)

    return PairBatch(images(cfg.DATA.TEMPLATE.SIZE), box, images(cfg.DATA.SEARCH.SIZE), box)


def _statistics(model: nn.Module) -> list[Tensor]:
    """The running statistics, and one value that is there in every network."""
    values = [value for name, value in model.named_buffers() if "running_" in name]
    return [*values, torch.ones(1, device=next(model.parameters()).device)]


def _flat(parts: Iterable[Tensor]) -> np.ndarray:
    return torch.cat([part.detach().float().flatten() for part in parts]).cpu().numpy()


if __name__ == "__main__":
    answer_job(take_part if _RANK in os.environ else check)
