"""Training of Alpha-Refine: losses of corners and masks (Yan et al., CVPR 2021).

B pairs, S side of the crop in pixels.
"""

from dataclasses import dataclass

import torch
from easydict import EasyDict
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from ...core.boxes import generalized_iou, iou_and_union
from ...layers.refine.heads import BoxHead, Corners
from ..base import PairBatch


@dataclass(frozen=True)
class RefineTraining:
    """Losses of a network with a box head, a mask head or both."""

    corner_loss: str  # mse: in squared pixels of the crop; giou
    corner_weight: float
    cell_weight: float  # of the cross entropy of heads that choose a cell
    mask_weight: float

    @classmethod
    def from_config(cls, cfg: EasyDict) -> "RefineTraining":
        """The rules of TRAIN."""
        train = cfg.TRAIN
        return cls(train.CORNER_LOSS, train.CORNER_WEIGHT, train.CELL_WEIGHT, train.MASK_WEIGHT)

    def __call__(
        self, head: BoxHead | None, found: Corners, mask: Tensor | None, truth: Tensor, batch: PairBatch
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted losses, and figures for the log. mask: [B, 1, S, S] logits; truth: [B, 4] xyxy, pixels of the crop,
        limited to the crop here."""
        losses, figures = {}, {}
        if head is not None:
            truth = truth.clamp(0, batch.search.shape[-1])
            corners, cells = head.learn(found, truth)
            losses["corner"] = self.corner_weight * self._corners(corners.float(), truth)
            if cells is not None:
                losses["cell"] = self.cell_weight * cells
        if mask is not None and batch.mask is not None:
            logits, label = mask[:, 0].float(), batch.mask.float() / 255
            there = torch.ones_like(label[:, 0, 0]) if batch.has_mask is None else batch.has_mask.to(label.dtype)
            each = binary_cross_entropy_with_logits(logits, label, reduction="none").mean((1, 2))
            losses["mask"] = self.mask_weight * (each * there).sum() / there.sum().clamp(min=1)
            figures["mask_iou"] = mask_overlap(logits > 0, label > 0.5, there)
        return losses, figures

    def _corners(self, found: Tensor, truth: Tensor) -> Tensor:
        if self.corner_loss == "mse":
            return mse_loss(found, truth)
        return (1 - generalized_iou(found, truth)[0]).mean()

    @staticmethod
    def overlap(found: Tensor, truth: Tensor) -> Tensor:
        """The mean intersection over union of two [B, 4] xyxy."""
        return iou_and_union(found, truth)[0].mean()


def mask_overlap(found: Tensor, truth: Tensor, there: Tensor) -> Tensor:
    """[2] sum of the intersections over unions of masks [B, S, S] bool, and their number; there: [B] 1 for the pairs
    that count. Two empty masks overlap completely."""
    common, either = (found & truth).flatten(1).sum(1), (found | truth).flatten(1).sum(1)
    iou = torch.where(either > 0, common / either.clamp(min=1), 1.0)
    return torch.stack([(iou * there).sum(), there.sum()])
