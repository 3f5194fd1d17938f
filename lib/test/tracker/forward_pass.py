"""One pass of a network as tracking needs it: pixels in, boxes out, in a chosen arithmetic, compiled or not.

B targets, M modalities, S side of a crop in pixels.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...core.errors import InputError
from ...models.base import MemoryType, TrackerModel

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


class Seen(NamedTuple):
    """What comes out of a pass."""

    prediction: Any  # the network's own
    answers: Tensor  # [B, 5] float32, cxcywh in crop units and score
    memory: Any  # after the frame; None for networks that do not learn while they track


class Look(nn.Module):
    """Normalise, search, decode, learn: all that happens on the device between a crop and its box."""

    def __init__(self, model: TrackerModel, dtype: torch.dtype):
        """The model's weights become `dtype`, once."""
        super().__init__()
        model.cast(dtype)
        self.model = model
        self.dtype = dtype
        self.learns = (
            type(model).conclude is not TrackerModel.conclude or type(model).refresh is not TrackerModel.refresh
        )

    def embed(self, pixels: Tensor, box: Tensor) -> Any:
        """pixels [B, M, 3, Sz, Sz] uint8, box [B, 4] cxcywh in template units -> the model's Memory"""
        return self.model.embed(self.model.normalize(pixels).to(self.dtype), box.to(self.dtype))

    def forward(self, memory: MemoryType, pixels: Tensor, prior: Tensor) -> Seen:
        """Memory, pixels [B, M, 3, S, S] uint8, prior [B, 2] last size in crop units -> Seen"""
        prediction = self.model(memory, self.model.normalize(pixels).to(self.dtype))
        boxes, scores, learned = self.model.conclude(memory, prediction, prior)
        answers = torch.cat([boxes, scores[:, None]], dim=1).float()
        return Seen(prediction, answers, learned if self.learns else None)


class CompiledLook:
    """A Look as a compiled graph of a fixed batch: kernels fused, on a GPU launched as one CUDA graph."""

    def __init__(self, look: Look, batch: int, device: torch.device):
        self.look, self.batch = look, batch
        mode = "reduce-overhead" if device.type == "cuda" else None
        # Weights are laid out for the kernels once (CPU); they do not change while tracking.
        options: dict[str, Any] | None = {"freezing": True} if device.type == "cpu" else None
        self.graph = torch.compile(look, dynamic=False, mode=mode, options=options)

    def __call__(self, memory: MemoryType, pixels: Tensor, prior: Tensor) -> Seen:
        """As Look, for up to `batch` targets: the last one fills the places that are left."""
        count = len(pixels)
        torch.compiler.cudagraph_mark_step_begin()
        full = [fill_up(part, self.batch) for part in (*memory, pixels, prior)]
        seen = self.graph(type(memory)(*full[:-2]), *full[-2:])
        # A CUDA graph writes every answer to the same place.
        answers = seen.answers[:count].clone()
        learned = None if seen.memory is None else type(memory)(*(part[:count].clone() for part in seen.memory))
        return Seen(seen.prediction, answers, learned)


def fill_up(part: Tensor, count: int) -> Tensor:
    """[B, ...] -> [count, ...], the last row repeated."""
    if part.shape[0] == count:
        return part
    return torch.cat([part, part[-1:].expand(count - part.shape[0], *part.shape[1:])])
