"""What the trainer asks of a batch and of a network, whatever a family of trackers learns from. B samples."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from torch import Tensor, nn

Change = Callable[[Tensor], Tensor]


class TrainBatch(Protocol):
    """Samples of one kind: pairs, sets of frames, pairs with masks. A NamedTuple of tensors with leading dimension B;
    a field may be None."""

    @property
    def size(self) -> int:
        """B. (`len` of a NamedTuple is its number of fields.)"""

    def apply(self, change: Change) -> "TrainBatch":
        """The batch with every tensor changed: moved to a device, or cut to some of its samples."""

    def normalised(self, normalize: Change) -> "TrainBatch":
        """The batch with every image [B, ..., 3, S, S] uint8 as the network takes it."""


class Trainable(Protocol):
    """A network as the trainer sees it: a torch module with losses. `lib.models.base` has defaults for all but
    `normalize` and `step`."""

    normalize: nn.Module  # images of a batch, uint8 -> float

    def step(self, batch: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted loss terms (the trainer adds them up), and figures to watch, of a batch of the network's own kind;
        scalars, the figures detached. A figure of some samples only is a [2] tensor: their sum and their number. The
        figure `iou`, where there is one, decides which checkpoint is the best."""

    def set_epoch(self, epoch: int) -> None:
        """Called at the start of each training epoch, the first one is 1."""

    def is_new(self, name: str, *, after_tracker: bool) -> bool:
        """Parameter groups: whether a parameter starts from scratch and learns at the full rate."""

    def layers_behind(self, name: str) -> int:
        """Parameter groups: layers between a pretrained parameter and the head, where rates fall layer by layer."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """As every module has it."""

    def eval(self) -> Any:
        """As every module has it."""
