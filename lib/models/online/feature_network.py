"""Networks that only compute features: what finds the target is learned from them while tracking.

B targets, M modalities, S side of a crop.
"""

from typing import Any

from torch import Tensor

from ...core.errors import InputError
from ..base import Network


class FeatureNetwork(Network):
    """A network without an answer of its own, whose weights come from a file and are not trained here."""

    learns_offline = False

    def embed(self, template: Tensor, box: Tensor | None = None) -> Any:
        """The features of a template: as `forward`'s."""
        return self(None, template)

    def read(self, prediction: Any) -> Tensor:
        """Raises InputError: features say nothing about a box."""
        raise InputError(f"{type(self).__name__}: finds no box without a target that was learned while tracking")

    def step(self, batch: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Raises InputError: nothing of the network learns offline."""
        raise InputError(f"{type(self).__name__}: has no offline training")
