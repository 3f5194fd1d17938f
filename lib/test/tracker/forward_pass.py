"""One forward pass as tracking needs it: pixels in, boxes out, in a chosen arithmetic, compiled or not.

B targets, V views a target, M modalities, S side of a crop in pixels.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...core import tree
from ...core.errors import InputError
from ...models.method import Method

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CROPS = ("exact", "fast")


@dataclass(frozen=True)
class Mode:
    """How tracking computes. Published numbers come from the default."""

    precision: str = "fp32"  # of PRECISIONS
    crops: str = "exact"  # as OpenCV cuts them, or "fast": all of a batch at once on the device
    compiled: bool = False  # torch.compile; CUDA graphs on a GPU
    batch: int = 1  # targets of a pass; compiled passes always have as many

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and tokens."""
        return PRECISIONS[self.precision]

    def check(self, device: torch.device | str) -> None:
        """Raises InputError for what a device cannot do or would only do more slowly."""
        if self.batch < 1:
            raise InputError(f"--batch {self.batch}: expected 1 or more")
        if self.precision == "fp16" and torch.device(device).type == "cpu":
            raise InputError("--precision fp16: processors compute it more slowly than fp32; use bf16 or a GPU")


EXACT = Mode()


class Output(NamedTuple):
    """What comes out of a pass."""

    answers: Tensor  # [B, 7] float32: cxcywh in crop units, score, whether found, which view
    memory: Any  # after the frame; None where nothing was learned
    prediction: Any  # the network's own


class ForwardPass(nn.Module):
    """All that happens on the device between crops and their boxes."""

    def __init__(self, method: Method, dtype: torch.dtype):
        """The weights of the method's network become `dtype`, once."""
        super().__init__()
        method.network.cast(dtype)
        self.network, self.method = method.network, method

    def forward(self, memory: Any, pixels: Tensor, prior: Tensor) -> Output:
        """Memory, pixels [B, V, M, 3, S, S] uint8, prior [B, V, 2] last size in crop units -> Output"""
        answer = self.method.search(memory, pixels, prior)
        parts = [answer.boxes, *(part[:, None] for part in (answer.scores, answer.found, answer.view))]
        answers = torch.cat([part.float() for part in parts], dim=1)
        return Output(answers, None if answer.memory is memory else answer.memory, answer.prediction)


class CompiledPass:
    """A forward pass as a compiled graph of a fixed batch: kernels fused, on a GPU launched as one CUDA graph."""

    def __init__(self, forward: ForwardPass, batch: int, device: torch.device):
        """Raises InputError for a method that learns by gradients: a graph has none."""
        if forward.method.needs_gradients:
            raise InputError("--compile: this tracker learns by gradients while it tracks; leave the option out")
        self.batch = batch
        mode = "reduce-overhead" if device.type == "cuda" else None
        # Weights are laid out for the kernels once (CPU); they do not change while tracking.
        options: dict[str, Any] | None = {"freezing": True} if device.type == "cpu" else None
        self.graph = torch.compile(forward, dynamic=False, mode=mode, options=options)

    def __call__(self, memory: Any, pixels: Tensor, prior: Tensor) -> Output:
        """As ForwardPass, for up to `batch` targets: the last one fills the places that are left."""
        count = len(pixels)
        torch.compiler.cudagraph_mark_step_begin()
        full = tree.map_tensors(lambda part: fill_up(part, self.batch), (memory, pixels, prior))
        output = self.graph(*full)
        # A CUDA graph writes every answer to the same place.
        answers, learned = tree.map_tensors(lambda part: part[:count].clone(), (output.answers, output.memory))
        return Output(answers, learned, output.prediction)


def fill_up(part: Tensor, count: int) -> Tensor:
    """[B, ...] -> [count, ...], the last row repeated."""
    if part.shape[0] == count:
        return part
    return torch.cat([part, part[-1:].expand(count - part.shape[0], *part.shape[1:])])
