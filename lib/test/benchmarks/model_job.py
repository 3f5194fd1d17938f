"""Measures one network in one precision in a separate process: seconds of a pass, of its matrix products alone, memory.

Job and answer are JSON on the standard streams. Weights are random unless a checkpoint is named, and images are noise:
the cost of a pass depends on neither.

A job holds script, config, set, checkpoint, precision, compiled, batches, passes, device, threads (0: PyTorch's
choice), cache.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ...core.checkpoint import load_weights
from ...core.config import load_config
from ...core.distributed import own_device
from ...core.errors import InputError
from ...core.measure.device_speed import measure_device, seconds_of
from ...core.measure.gpu import describe_device
from ...core.measure.job import MeasurementJob, answer_job
from ...core.measure.peak_memory import peak_memory
from ...models import build_method, build_model
from ...models.weights import load_state
from ..tracker.forward_pass import FixedBatch, ForwardPass, Mode, NetworkPass
from .products import Product, moved_bytes, operations, products_of, repeat_products


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
    return answer | measure_device(bench.device, bench.mode.dtype)


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
    if not method.compilable:
        name = f"{job['script']}/{job['config']}"
        raise InputError(f"{name}: a pass depends on what was learned; use `benchmark track`")
    forward = ForwardPass(method, mode.dtype)
    return Bench(forward if method.compilable == "search" else NetworkPass(method), mode, device, job["passes"])


@dataclass(frozen=True, eq=False)
class Bench:
    """A network with the options of its measurement."""

    forward: ForwardPass | NetworkPass
    mode: Mode
    device: torch.device
    passes: int

    def time_batch(self, batch: int) -> MeasurementJob:
        """Seconds of the first pass, then of alternating passes and products alone, as wall time and as time on the
        cores; operations and bytes of the products."""
        with torch.no_grad():
            memory, pixels, prior = self.inputs(batch)
        products = self.count(batch)
        run: Any = FixedBatch(self.forward, batch, self.device) if self.mode.compiled else self.forward
        products_alone = repeat_products(products, self.mode.dtype, self.device)

        def forward() -> None:
            run(memory, pixels, prior)

        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        first = seconds_of(forward, self.device)[0]
        again = [] if self.device.type == "cpu" else [forward]  # a CUDA graph is recorded in the second pass
        for action in (*again, forward, products_alone):
            seconds_of(action, self.device)  # warm-up
        template = self.time_template(batch)
        turns = [
            (*seconds_of(forward, self.device), *seconds_of(products_alone, self.device)) for _ in range(self.passes)
        ]
        columns = dict(
            zip(("pass_s", "pass_core_s", "products_s", "products_core_s"), zip(*turns, strict=True), strict=True)
        )
        sums = {"operations": operations(products), "moved_bytes": moved_bytes(products, self.mode.dtype)}
        if self.device.type == "cuda":
            sums["gpu_peak_mib"] = round(torch.cuda.max_memory_allocated(self.device) / 2**20)
        return {
            "first_s": first,
            "template_s": template,
            **{name: list(column) for name, column in columns.items()},
            **sums,
        }

    def time_template(self, batch: int) -> list[float]:
        """Seconds for what is computed once per target; none of a network that is timed without it."""
        if isinstance(self.forward, NetworkPass):
            return []
        method = self.forward.method
        crops, box = self.crops(batch, method.template_size), self.middle(batch)
        return [seconds_of(lambda: method.begin(crops, box), self.device)[0] for _ in range(self.passes + 1)][1:]

    def count(self, batch: int) -> Counter[Product]:
        """The products of a pass, counted on tensors without data. Gradients are enabled: without them,
        BatchInvariantConv2d computes some products twice, for equal rounding."""
        with FakeTensorMode(allow_non_fake_inputs=True):
            given = self.inputs(batch)
            return products_of(lambda: self.forward(*given))

    def inputs(self, batch: int) -> tuple[Any, Tensor, Any]:
        """Memory, search crops [B, 1, M, 3, S, S] uint8 and last sizes [B, 1, 2], from noise images; of a network
        without what was learned, the crops alone."""
        method = self.forward.method
        if isinstance(self.forward, NetworkPass):
            return None, self.crops(batch, method.search_size), None
        box = self.middle(batch)
        memory = method.begin(self.crops(batch, method.template_size), box)
        return memory, self.crops(batch, method.search_size), box[..., 2:] / 2

    def crops(self, batch: int, size: int) -> Tensor:
        """Noise images [B, 1, M, 3, S, S] uint8."""
        shape, generator = (batch, 1, self.forward.method.modalities, 3, size, size), torch.Generator().manual_seed(0)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).to(self.device)

    def middle(self, batch: int) -> Tensor:
        """A box in the middle of each crop, [B, 1, 4]."""
        return torch.tensor([0.5, 0.5, 0.5, 0.5], device=self.device).expand(batch, 1, 4)


if __name__ == "__main__":
    answer_job(measure)
