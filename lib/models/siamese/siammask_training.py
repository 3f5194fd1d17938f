"""Training of SiamMask's masks: which cells count, the loss, overlaps (Wang et al., CVPR 2019, section 3.3).

B pairs, K cells of a pair, N = B K cells, n score cells on each side.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor
from torch.nn.functional import softplus

from ...core.errors import InputError
from ...layers.siamese.anchor_labels import POSITIVE, Labels
from ...layers.siamese.mask_windows import Cells, label_windows
from ..base import PairBatch


class MaskLabels(NamedTuple):
    """The cells whose masks count, and what they should be."""

    cells: Cells  # [N]
    counts: Tensor  # [N] bool: whether there is such a cell; every pair has K places
    inside: Tensor  # [N, 127, 127] bool, the target's pixels


@dataclass(frozen=True)
class MaskTraining:
    """Choice of cells and loss, from a configuration."""

    weight: float
    most: int  # K
    refinement_alone: bool  # everything else has learned and stands still

    @classmethod
    def from_config(cls, cfg: EasyDict) -> "MaskTraining":
        """The rules of TRAIN. Raises InputError where a refinement should learn that the network does not have."""
        train = cfg.TRAIN
        alone = train.LEARN == "refinement"
        if alone and cfg.MODEL.MASK != "refined":
            raise InputError(
                f"TRAIN.LEARN: refinement: MODEL.MASK {cfg.MODEL.MASK} has none; set it to refined, or all"
            )
        return cls(train.MASK_WEIGHT, train.MASK_CELLS, alone)

    def choose(self, labels: Labels, batch: PairBatch) -> MaskLabels:
        """The cells with a positive anchor, at most K of a pair, of pairs that have a mask."""
        positive = (labels.classes == POSITIVE).any(1)
        grid, flat = positive.shape[-1], positive.flatten(1)
        values, places = flat.int().topk(min(self.most, flat.shape[1]), dim=1)
        here = torch.ones_like(flat[:, 0]) if batch.has_mask is None else batch.has_mask
        sample = torch.arange(len(flat), device=flat.device)[:, None].expand_as(places)
        cells = Cells(*(part.flatten() for part in (sample, places // grid, places % grid)))
        assert batch.mask is not None
        return MaskLabels(cells, ((values > 0) & here[:, None]).flatten(), label_windows(batch.mask, cells))

    def __call__(self, logits: Tensor, labels: MaskLabels) -> tuple[Tensor, Tensor]:
        """The weighted loss: the mean of log(1 + exp(-y m)) over all pixels of the masks that count, y 1 or -1. And of
        their overlaps with the truth [2] the sum and the number. logits: [N, 127, 127]"""
        counts = labels.counts.to(logits.dtype)
        signs = torch.where(labels.inside, 1.0, -1.0)
        each = softplus(-signs * logits.float()).mean((1, 2))
        loss = self.weight * (each * counts).sum() / counts.sum().clamp(min=1)
        with torch.no_grad():
            found = logits > 0
            shared = (found & labels.inside).sum((1, 2))
            union = (found | labels.inside).sum((1, 2))
            overlap = shared / union.clamp(min=1)
            return loss, torch.stack([(overlap * counts).sum(), counts.sum()])
