"""Training of FEAR's head: labels, losses, figures, learning layers (Borsuk et al., ECCV 2022).

B pairs, n search cells on each side. Boxes are cxcywh in units of the search region.
"""

from dataclasses import dataclass

import torch
from easydict import EasyDict
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ...core.boxes import cxcywh_to_xyxy, iou_and_union
from ..siamese.network import gather_rows
from .method import STRIDE, cell_points


@dataclass(frozen=True)
class FearTraining:
    """Labels, losses and schedule of the trunk, from a configuration."""

    positive_share: float  # cells are positive in this share of the target's width and height
    cls_weight: float
    box_weight: float
    rank_weight: float
    stages: int  # last stages of the trunk that learn
    unfreeze_epoch: int  # epoch from which the trunk learns

    @classmethod
    def from_config(cls, cfg: EasyDict, stages: int) -> "FearTraining":
        """The rules of TRAIN; stages: number of the trunk's stages. A trunk without pretrained weights learns
        completely from the first epoch."""
        train = cfg.TRAIN
        scratch = not cfg.MODEL.PRETRAIN_FILE
        learning, epoch = (stages, 0) if scratch else (train.TRUNK_STAGES, train.UNFREEZE_EPOCH)
        return cls(train.POSITIVE_SHARE, train.CLS_WEIGHT, train.BOX_WEIGHT, train.RANK_WEIGHT, learning, epoch)

    def learning_stages(self, epoch: int) -> int:
        """The number of the trunk's last stages that learn in an epoch (counted from 1)."""
        return self.stages if epoch >= self.unfreeze_epoch else 0

    def __call__(
        self, logits: Tensor, boxes: Tensor, truth: Tensor, positive: Tensor | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted losses, and figures for the log. logits: [B, n, n]; boxes: [B, 4, n, n]; truth: [B, 4]; positive:
        [B] bool, None where all pairs are."""
        here = truth.new_ones(len(truth), dtype=torch.bool) if positive is None else positive
        middle = cells_inside(truth, logits.shape[-1], self.positive_share) & here[:, None, None]
        inside = cells_inside(truth, logits.shape[-1], 1.0) & here[:, None, None]
        losses = {
            "cls": self.cls_weight * balanced_binary_loss(logits, middle),
            "box": self.box_weight * smoothed_iou_loss(boxes, truth, inside),
        }
        if self.rank_weight:
            losses["rank"] = self.rank_weight * ranking_loss(logits, middle)
        with torch.no_grad():
            best = logits.flatten(1).argmax(1)
            found = cxcywh_to_xyxy(gather_rows(boxes.flatten(2).mT, best))
            iou = iou_and_union(found, cxcywh_to_xyxy(truth))[0]
            scores = logits.sigmoid()
            figures = {
                "iou": _mean(iou, here),
                "score_on": _mean(scores, middle),
                "score_off": _mean(scores, ~inside),
            }
        return losses, figures


def cells_inside(truth: Tensor, cells: int, share: float) -> Tensor:
    """Whether the point of each cell lies in the middle `share` of width and height of a box: [B, 4] -> [B, n, n]
    bool. The cell nearest to the centre always counts."""
    points = cell_points(cells, truth.device)
    dx, dy = (points - truth[:, :1]).abs(), (points - truth[:, 1:2]).abs()
    near_x, near_y = (d <= extent[:, None] * share / 2 for d, extent in ((dx, truth[:, 2]), (dy, truth[:, 3])))
    near_x, near_y = (near | (d == d.amin(1, keepdim=True)) for near, d in ((near_x, dx), (near_y, dy)))
    return near_y[:, :, None] & near_x[:, None, :]


def balanced_binary_loss(logits: Tensor, positive: Tensor) -> Tensor:
    """Binary cross entropy: half the mean of the positive cells plus half the mean of the others. Both [B, n, n]."""
    losses = binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")
    return sum(
        (0.5 * (losses * part).sum() / part.sum().clamp(min=1) for part in (positive, ~positive)), logits.new_zeros(())
    )


def ranking_loss(logits: Tensor, positive: Tensor) -> Tensor:
    """Minus the logarithm of the share of the positive cells in the softmax over all cells, averaged over the pairs
    that have some. Both [B, n, n]."""
    likelihood = logits.flatten(1).log_softmax(1).masked_fill(~positive.flatten(1), -torch.inf).logsumexp(1)
    there = positive.flatten(1).any(1)
    return -torch.where(there, likelihood, 0.0).sum() / there.sum().clamp(min=1)


def smoothed_iou_loss(boxes: Tensor, truth: Tensor, inside: Tensor) -> Tensor:
    """Mean of 1 - (I + 1) / (U + 1) over the cells inside the target; areas in pixels. boxes: [B, 4, n, n], truth:
    [B, 4], inside: [B, n, n] bool."""
    size = boxes.shape[-1] * STRIDE
    a = cxcywh_to_xyxy(boxes.permute(0, 2, 3, 1) * size)
    b = cxcywh_to_xyxy(truth * size)[:, None, None]
    iou, union = iou_and_union(a, b)
    losses = 1 - (iou * union + 1) / (union + 1)
    return (losses * inside).sum() / inside.sum().clamp(min=1)


def _mean(values: Tensor, of: Tensor) -> Tensor:
    """[2] sum and number of the values where `of` is true; computed without waiting for the device."""
    return torch.stack([torch.where(of, values, 0.0).sum(), of.sum().to(values.dtype)])
