"""What the trainer needs of a batch and of a network, for any kind of sample. B samples."""

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
    """A network as the trainer uses it: a torch module with losses. `lib.models.base.Network` has defaults for all
    methods but `step`."""

    normalize: nn.Module  # images of a batch, uint8 -> float

    def step(self, batch: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted loss terms, which the trainer adds up, and figures for the log. Both are scalars; figures are
        detached. A figure of some samples only is a [2] tensor: its sum over these samples, and their number. The
        figure `iou`, if there is one, decides which checkpoint is the best."""

    def set_epoch(self, epoch: int) -> None:
        """The trainer calls this at the start of each epoch; the first epoch is 1."""

    def is_new(self, name: str, *, after_tracker: bool) -> bool:
        """Whether a parameter starts from scratch; it then learns at the full rate."""

    def layers_behind(self, name: str) -> int:
        """The number of layers between a pretrained parameter and the head, for layer-wise decay of the learning
        rate."""

    def rate_factor(self, name: str) -> float:
        """The learning rate of a pretrained parameter relative to that of the others."""

    def fresh_factor(self, name: str) -> float:
        """The learning rate of a parameter that starts from scratch relative to LR."""

    def watched(self) -> dict[str, Tensor]:
        """Scalars of the network for curves, such as learned weights: name -> a tensor of one element."""

    def distributions(self, prediction: Any) -> dict[str, Tensor]:
        """Values of a prediction for histograms: name -> a tensor of any shape."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """As `torch.nn.Module.named_parameters`."""

    def eval(self) -> Any:
        """As `torch.nn.Module.eval`."""
