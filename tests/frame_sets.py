"""Sets of frames with noise, as batches of training."""

import numpy as np
import torch

from lib.models.frame_set import FrameSetBatch
from lib.train.data.proposals import DensityProposals, IoUProposals

_BOXES = torch.tensor([[0.3, 0.35, 0.3, 0.2], [0.45, 0.2, 0.25, 0.4], [0.2, 0.4, 0.35, 0.35]])  # xywh, units of a crop


def batch_of_sets(
    side: int, sets: int, *, frames: int = 3, proposals: int = 8, density: bool = False, seed: int = 0
) -> FrameSetBatch:
    """Normalised noise, `frames` images to learn from and as many to find the target in, with boxes well inside."""
    generator = torch.Generator().manual_seed(seed)
    kind: DensityProposals | IoUProposals = IoUProposals(proposals, (0.05, 0.2), 0.1)
    if density:
        kind = DensityProposals(proposals, ((0.05, 0.05), (0.5, 0.5)), (0.05, 0.05))
    boxes = side * _BOXES[torch.arange(2 * sets * frames).view(2, sets, frames) % 3]
    rng = np.random.default_rng(seed)
    drawn = [[kind.draw(rng, box.double().numpy()) for box in own] for own in boxes[1]]

    def stack(name: str) -> torch.Tensor:
        values = [[getattr(one, name) for one in own] for own in drawn]
        return torch.as_tensor(np.array(values), dtype=torch.float32)

    train, test = (torch.randn(sets, frames, 3, side, side, generator=generator) for _ in range(2))
    sampling = stack("sampling") if density else None
    return FrameSetBatch(train, boxes[0], test, boxes[1], stack("boxes"), stack("wanted"), sampling)
