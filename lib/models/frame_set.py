"""Sets of frames, which trackers that learn online are trained on: frames to learn a target from, and frames to find it
in (DiMP, ICCV 2019). B sets, N frames to learn from, M to find in, K boxes, S side of a crop in pixels."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class FrameSetBatch(NamedTuple):
    """Training sets. Images are normalised before they reach a network; boxes are xywh, pixels of their crop."""

    train: Tensor  # [B, N, 3, S, S]
    train_boxes: Tensor  # [B, N, 4]
    test: Tensor  # [B, M, 3, S, S]
    test_boxes: Tensor  # [B, M, 4]
    proposals: Tensor  # [B, M, K, 4] boxes around the target in the frames to find it in
    wanted: Tensor  # [B, M, K] what a network should say of them: IoU, or the density of the target's box
    sampling: Tensor | None = None  # [B, M, K] the density that they were drawn from; None: they are for IoU

    @property
    def size(self) -> int:
        """B."""
        return len(self.test)

    def apply(self, change: Callable[[Tensor], Tensor]) -> "FrameSetBatch":
        """The batch with `change` applied to every tensor; None stays None."""
        return FrameSetBatch._make(part if part is None else change(part) for part in self)

    def normalised(self, normalize: Callable[[Tensor], Tensor]) -> "FrameSetBatch":
        """The batch with normalised images."""
        return self._replace(train=normalize(self.train), test=normalize(self.test))
