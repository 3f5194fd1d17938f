"""One forward pass for tracking: pixels in, boxes out, in a chosen precision, compiled or not.

B targets, V views per target, M modalities, S side of a crop in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...core import tree
from ...core.errors import InputError
from ...core.view import View
from ...models.base import ScoreMap
from ...models.method import Method, TargetAnswer

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CROPS = ("exact", "fast")
TORCH, ONNX = BACKENDS = ("torch", "onnxruntime")


@dataclass(frozen=True)
class Mode:
    """Precision and speed options of tracking. Published numbers were computed with the defaults."""

    precision: str = "fp32"  # of PRECISIONS
    crops: str = "exact"  # exact: cut by OpenCV; fast: all crops of a batch at once on the device
    compiled: bool = False  # torch.compile; CUDA graphs on a GPU
    batch: int = 1  # largest number of targets in a pass; the fixed number of compiled passes
    backend: str = TORCH  # of BACKENDS: what computes the network

    @property
    def dtype(self) -> torch.dtype:
        """The data type of weights and activations."""
        return PRECISIONS[self.precision]

    def check(self, device: torch.device | str) -> None:
        """Raises InputError for options that a device does not support or that would make it slower."""
        if self.batch < 1:
            raise InputError(f"--batch {self.batch}: expected 1 or more")
        if self.precision == "fp16" and torch.device(device).type == "cpu":
            raise InputError("--precision fp16: processors compute it more slowly than fp32; use bf16 or a GPU")
        if self.backend == ONNX:
            self._check_onnx(torch.device(device))

    def _check_onnx(self, device: torch.device) -> None:
        name = f"--backend {self.backend}"
        if device.type != "cpu":
            raise InputError(f"{name}: computes on the processor, not on {device.type}; add --device cpu")
        if self.precision != "fp32":
            raise InputError(f"{name}: computes in fp32; leave --precision {self.precision} out")
        if self.compiled:
            raise InputError(f"{name}: --compile is for PyTorch; leave one of the two out")


EXACT = Mode()


class Output(NamedTuple):
    """The result of a forward pass."""

    answers: Tensor  # [B, 7] float32: cxcywh in crop units, score, 1 where found, index of the view
    memory: Any  # after the frame; None where nothing was learned
    prediction: Any  # the network's output
    masks: Tensor | None = None  # [B, S, S] as `Method.target_masks`


class Pass(Protocol):
    """Everything between crops and boxes."""

    def begin(self, pixels: Tensor, boxes: Tensor) -> Any:
        """As `Method.begin`."""

    def __call__(self, memory: Any, pixels: Tensor, prior: Tensor) -> Output:
        """Memory, pixels [B, V, M, 3, S, S] uint8, prior [B, V, 2] last size in crop units -> Output"""

    def score_map(self, output: Output) -> ScoreMap | None:
        """As `Network.score_map`, of the output's prediction."""


def torch_pass(method: Method, device: torch.device, mode: Mode) -> Pass:
    """The pass by PyTorch. The method's network is moved to `device` and converted to the precision of `mode`."""
    method.network.to(device).eval()
    forward = ForwardPass(method, mode.dtype)
    return CompiledPass(forward, mode.batch if method.batched else 1, device) if mode.compiled else forward


class ForwardPass(nn.Module):
    """The pass by PyTorch, operator by operator."""

    def __init__(self, method: Method, dtype: torch.dtype):
        """Converts the weights of the method's network to `dtype`."""
        super().__init__()
        method.network.cast(dtype)
        self.network, self.method = method.network, method

    def begin(self, pixels: Tensor, boxes: Tensor) -> Any:
        """As `Pass.begin`."""
        return self.method.begin(pixels, boxes)

    def score_map(self, output: Output) -> ScoreMap | None:
        """As `Pass.score_map`."""
        return self.network.score_map(output.prediction)

    def forward(self, memory: Any, pixels: Tensor, prior: Tensor) -> Output:
        """As `Pass.__call__`."""
        return self.decide(memory, self.method.predict(memory, pixels), pixels, prior)

    def decide(self, memory: Any, prediction: Any, pixels: Tensor, prior: Tensor) -> Output:
        """The result from the prediction for these targets."""
        answer = self.method.decide(memory, prediction, pixels, prior)
        parts = [answer.boxes, *(part[:, None] for part in (answer.scores, answer.found, answer.view))]
        answers = torch.cat([part.float() for part in parts], dim=1)
        masks = self.method.target_masks(answer.prediction)
        return Output(answers, None if answer.memory is memory else answer.memory, answer.prediction, masks)


class NetworkPass(nn.Module):
    """What a network computes from search regions, whatever was learned."""

    def __init__(self, method: Method):
        super().__init__()
        self.network, self.method = method.network, method

    def forward(self, memory: None, pixels: Tensor, prior: None) -> Any:
        """As `Method.predict`."""
        return self.method.predict(memory, pixels)


class CompiledPass:
    """A forward pass whose work is compiled for a fixed number of targets.

    Of a method that learns from each frame only the network is compiled; what it learns is computed as without it.
    """

    def __init__(self, forward: ForwardPass, batch: int, device: torch.device):
        """Raises InputError for a method of which nothing can be compiled."""
        if not forward.method.compilable:
            raise InputError("--compile: nothing of this tracker can be compiled; leave the option out")
        self.begin, self.score_map, self.decide = forward.begin, forward.score_map, forward.decide
        self.whole = forward.method.compilable == "search"
        self.graph = FixedBatch(forward if self.whole else NetworkPass(forward.method), batch, device)

    def __call__(self, memory: Any, pixels: Tensor, prior: Tensor) -> Output:
        """As ForwardPass, for at most `batch` targets."""
        if self.whole:
            return self.graph(memory, pixels, prior)
        return self.decide(memory, self.graph(None, pixels, None), pixels, prior)


class FixedBatch:
    """A module compiled for a fixed number of targets: fused kernels, on a GPU one CUDA graph."""

    def __init__(self, module: nn.Module, batch: int, device: torch.device):
        self.batch = batch
        mode = "reduce-overhead" if device.type == "cuda" else None
        # On a CPU the compiler may rearrange the weights for its kernels: they do not change while tracking.
        options: dict[str, Any] | None = {"freezing": True} if device.type == "cpu" else None
        self.graph = torch.compile(module, dynamic=False, mode=mode, options=options)

    def __call__(self, memory: Any, pixels: Tensor, prior: Any) -> Any:
        """As the module, for at most `batch` targets. The last target is repeated to fill the batch."""
        count = len(pixels)
        torch.compiler.cudagraph_mark_step_begin()
        full = tree.map_tensors(lambda part: fill_up(part, self.batch), (memory, pixels, prior))
        output = self.graph(*full)
        # A CUDA graph writes all its answers to the same memory.
        return tree.map_tensors(lambda part: part[:count].clone(), output)


def fill_up(part: Tensor, count: int) -> Tensor:
    """[B, ...] -> [count, ...]; the last row is repeated."""
    if part.shape[0] == count:
        return part
    return torch.cat([part, part[-1:].expand(count - part.shape[0], *part.shape[1:])])


def read_answers(outputs: Sequence[Output]) -> np.ndarray:
    """The answers of several passes, [B, 7], with one wait for the device."""
    return torch.cat([output.answers for output in outputs]).cpu().numpy().astype(np.float64)


def read_answer(answer: np.ndarray, views: list[View]) -> tuple[TargetAnswer, View]:
    """A row of `Output.answers` as TargetAnswer, and the view that was chosen."""
    return TargetAnswer(answer[:4], float(answer[4]), bool(answer[5])), views[int(answer[6])]
