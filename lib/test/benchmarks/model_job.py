"""Measures one network in one precision in a separate process: seconds of a pass, of its matrix products alone, memory.

Job and answer are JSON on the standard streams. Weights are random unless a checkpoint is named, and images are noise:
the cost of a pass depends on neither.

A job holds script, config, set, checkpoint, precision, compiled, batches, passes, device, threads (0: PyTorch's
choice), cache.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ...core.checkpoint import load_weights
from ...core.config import load_config
from ...core.distributed import own_device
from ...core.measure.gpu import describe_device
from ...core.measure.job import MeasurementJob, answer_job
from ...core.measure.peak_memory import peak_memory
from ...models import build_method, build_model
from ...models.weights import load_state
from ..tracker.forward_pass import CompiledPass, ForwardPass, Mode
from .products import Product, moved_bytes, operations, products_of, repeat_products

_SQUARE = 2048  # side of the matrices of a plain product
_COPIED = 2**28  # bytes of a plain copy, more than any cache holds


def measure(job: MeasurementJob) -> MeasurementJob:
    """The answer of a job: seconds, operations and bytes per batch; parameters, memory, and the machine's peak
    speed."""
    before = peak_memory()
    bench = open_bench(job)
    weights = [*bench.forward.parameters(), *bench.forward.buffers()]
    answer: MeasurementJob = {
        "before_mib": before,
        "parameters": sum(weight.numel() for weight in bench.forward.parameters()),
        "weights_mib": sum(weight.numel() * weight.element_size() for weight in weights) / 2**20,
        "device": describe_device(bench.device),
        "batches": {str(batch): bench.time_batch(batch) for batch in job["batches"]},
        "peak_mib": peak_memory(),  # before the machine's speed is measured
    }
    return answer | bench.time_machine()


def open_bench(job: MeasurementJob) -> "Bench":
    """The network of a job, ready to be timed. Raises InputError for a wrong configuration or an unsupported mode."""
    device = own_device(job["device"])
    if job["threads"]:
        torch.set_num_threads(job["threads"])
    mode = Mode(job["precision"], compiled=job["compiled"])
    mode.check(device)
    cfg = load_config(job["script"], job["config"], job["set"])
    torch.manual_seed(0)
    network = build_model(cfg)
    if job["checkpoint"]:
        load_state(network, load_weights(job["checkpoint"]), source=job["checkpoint"])
    method = build_method(network.to(device).eval(), cfg)
    return Bench(ForwardPass(method, mode.dtype), mode, device, job["passes"])


@dataclass(frozen=True, eq=False)
class Bench:
    """A network with the options of its measurement."""

    forward: ForwardPass
    mode: Mode
    device: torch.device
    passes: int

    def time_batch(self, batch: int) -> MeasurementJob:
        """Seconds of the first pass, then of alternating passes and products alone, as wall time and as time on the
        cores; operations and bytes of the products."""
        with torch.no_grad():
            memory, pixels, prior = self.inputs(batch)
        products = self.count(batch)
        run: Any = CompiledPass(self.forward, batch, self.device) if self.mode.compiled else self.forward
        products_alone = repeat_products(products, self.mode.dtype, self.device)

        def forward() -> None:
            run(memory, pixels, prior)

        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        first = self.seconds(forward)[0]
        for action in (forward, products_alone):
            self.seconds(action)  # warm-up
        turns = [(*self.seconds(forward), *self.seconds(products_alone)) for _ in range(self.passes)]
        columns = dict(
            zip(("pass_s", "pass_core_s", "products_s", "products_core_s"), zip(*turns, strict=True), strict=True)
        )
        sums = {"operations": operations(products), "moved_bytes": moved_bytes(products, self.mode.dtype)}
        if self.device.type == "cuda":
            sums["gpu_peak_mib"] = round(torch.cuda.max_memory_allocated(self.device) / 2**20)
        return {"first_s": first, **{name: list(column) for name, column in columns.items()}, **sums}

    def count(self, batch: int) -> Counter[Product]:
        """The products of a pass, counted on tensors without data. Gradients are enabled: without them,
        BatchInvariantConv2d computes some products twice, for equal rounding."""
        with FakeTensorMode(allow_non_fake_inputs=True):
            given = self.inputs(batch)
            return products_of(lambda: self.forward(*given))

    def time_machine(self) -> MeasurementJob:
        """Operations per second of a large matrix product in the same precision, and bytes per second of a large copy;
        on a CPU per second of core time."""
        matrix = torch.randn(_SQUARE, _SQUARE, device=self.device).to(self.mode.dtype)
        source = torch.ones(_COPIED, dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        actions: dict[str, Callable[[], Any]] = {
            "square_s": lambda: torch.matmul(matrix, matrix),
            "copy_s": lambda: target.copy_(source),
        }
        core = int(self.device.type == "cpu")  # other programs hardly change the time on the cores
        seconds = {name: min(self.seconds(action)[core] for _ in range(5)) for name, action in actions.items()}
        return {
            "square_operations_per_s": 2 * _SQUARE**3 / seconds["square_s"],
            "copy_bytes_per_s": 2 * _COPIED / seconds["copy_s"],  # read and written
        }

    def inputs(self, batch: int) -> tuple[Any, Tensor, Tensor]:
        """Memory, search crops [B, 1, M, 3, S, S] uint8 and last sizes [B, 1, 2], from noise images."""
        generator, method = torch.Generator().manual_seed(0), self.forward.method

        def crops(size: int) -> Tensor:
            shape = (batch, 1, method.modalities, 3, size, size)
            return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).to(self.device)

        box = torch.tensor([0.5, 0.5, 0.5, 0.5], device=self.device).expand(batch, 1, 4)
        memory = method.begin(crops(method.template_size), box)
        return memory, crops(method.search_size), box[..., 2:] / 2

    def seconds(self, action: Callable[[], Any]) -> tuple[float, float]:
        """Seconds until the device has finished `action`: wall time, and time on the cores."""
        begin, begin_core = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            action()
        if self.device.type != "cpu":
            getattr(torch, self.device.type).synchronize()
        return time.perf_counter() - begin, time.process_time() - begin_core


if __name__ == "__main__":
    answer_job(measure)
