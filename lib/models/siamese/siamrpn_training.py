"""Training of an anchor head: labels, losses, figures, learning layers (SiamRPN, CVPR 2018; DaSiamRPN, ECCV 2018).

B pairs, A anchors, n score cells on each side. Boxes are cxcywh, pixels of the search region relative to its centre.
"""

from dataclasses import dataclass
from typing import Any

import torch
from easydict import EasyDict
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from ...core.boxes import cxcywh_to_xyxy, iou_and_union
from ...layers.losses import balanced_cross_entropy
from ...layers.siamese.anchor_labels import NEGATIVE, POSITIVE, LabelRule, Labels
from ...layers.siamese.anchors import decode
from ..base import PAIR_KINDS, PairBatch

_ON_OBJECT = 0.5  # IoU above which an anchor lies on an object, in figures


@dataclass(frozen=True)
class AnchorTraining:
    """Labels, losses and schedule of the trunk, from a configuration."""

    labels: LabelRule
    cls_weight: float
    loc_weight: float
    smooth: bool  # smooth L1 instead of L1
    stages: int  # last stages of the trunk that learn
    unfreeze_epoch: int  # epoch from which the trunk learns

    @classmethod
    def from_config(cls, cfg: EasyDict, stages: int) -> "AnchorTraining":
        """The rules of TRAIN; stages: number of the trunk's stages. A trunk without pretrained weights learns
        completely from the first epoch."""
        train, rule = cfg.TRAIN, cfg.TRAIN.LABELS
        labels = LabelRule(
            positive=rule.POSITIVE_IOU,
            negative=rule.NEGATIVE_IOU,
            forced=rule.FORCED_IOU,
            most_positive=rule.POSITIVES,
            total=rule.TOTAL,
            distractor=rule.DISTRACTOR_IOU,
            most_distractor=rule.DISTRACTORS,
            reach=rule.NEAR_CELLS,
            near=rule.NEAR,
            elsewhere=rule.ELSEWHERE,
        )
        scratch = not cfg.MODEL.PRETRAIN_FILE
        stages, epoch = (stages, 0) if scratch else (train.TRUNK_STAGES, train.UNFREEZE_EPOCH)
        return cls(labels, train.CLS_WEIGHT, train.LOC_WEIGHT, train.LOC_LOSS == "smooth_l1", stages, epoch)

    def learning_stages(self, epoch: int) -> int:
        """The number of the trunk's last stages that learn in an epoch (counted from 1)."""
        return self.stages if epoch >= self.unfreeze_epoch else 0

    def __call__(
        self, anchors: Tensor, prediction: Any, batch: PairBatch
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted losses, and figures for the log. anchors: [4, A, n, n]; prediction: logits [B, 2, A, n, n], deltas
        [B, 4, A, n, n]; batch: its search_box [B, 4] and others [B, K, 4] are boxes as defined at the top of the
        file."""
        logits, deltas = prediction.logits.float(), prediction.deltas.float()
        labels = self.labels(anchors, batch.search_box, batch.positive, batch.others)
        losses = {
            "cls": self.cls_weight * balanced_cross_entropy(logits, labels.classes),
            "loc": self.loc_weight * self.box_loss(deltas, labels),
        }
        with torch.no_grad():
            return losses, self.figures(anchors, logits, deltas, labels, batch)

    def box_loss(self, deltas: Tensor, labels: Labels) -> Tensor:
        """Distance between predicted and true corrections of the positive anchors: summed over coordinates, averaged
        over the anchors of a pair, then over pairs."""
        if self.smooth:
            distance = smooth_l1_loss(deltas, labels.deltas, reduction="none")
        else:
            distance = (deltas - labels.deltas).abs()
        return (distance.sum(1) * labels.weight).sum() / len(deltas)

    def figures(
        self, anchors: Tensor, logits: Tensor, deltas: Tensor, labels: Labels, batch: PairBatch
    ) -> dict[str, Tensor]:
        """The overlap of the best anchor's box in positive pairs (iou); the share of positive and negative anchors that
        are classified correctly (right_on, right_off); the mean score of the object by kind of pair (score_<kind>), and
        of other objects in positive pairs (score_beside)."""
        scores = logits.softmax(1)[:, 1].flatten(1)
        corners = cxcywh_to_xyxy(anchors.flatten(1).T)
        positive = torch.ones_like(scores[:, 0], dtype=torch.bool) if batch.positive is None else batch.positive
        best = scores.argmax(1)[:, None, None].expand(-1, 4, 1)
        found = decode(deltas, anchors).flatten(2).gather(2, best)[:, :, 0]
        iou = iou_and_union(cxcywh_to_xyxy(found), cxcywh_to_xyxy(batch.search_box))[0]
        classes = labels.classes.flatten(1)
        figures = {
            "iou": _mean(iou, positive),
            "right_on": _mean((scores > 0.5).float(), classes == POSITIVE),
            "right_off": _mean((scores < 0.5).float(), classes == NEGATIVE),
        }
        on = object_scores(scores, corners, batch.search_box)
        if batch.kind is not None:
            for number, kind in enumerate(PAIR_KINDS):
                figures[f"score_{kind}"] = _mean(on, batch.kind == number)
        if batch.others is not None and batch.others.shape[1]:
            others = object_scores(scores[:, None], corners, batch.others)
            there = batch.others.isfinite().all(2) & positive[:, None]
            figures["score_beside"] = _mean(others, there)
        return figures


def object_scores(scores: Tensor, corners: Tensor, boxes: Tensor) -> Tensor:
    """Mean score of the anchors that lie on each box: those with an IoU above 0.5, or else the one with the highest
    IoU.

    scores: [..., N]; corners: [N, 4] xyxy; boxes: [..., 4] cxcywh -> [...]; 0 for boxes that are NaN.
    """
    overlap = iou_and_union(corners, cxcywh_to_xyxy(boxes)[..., None, :])[0].nan_to_num(0)
    on = overlap > overlap.amax(-1, keepdim=True).clamp(max=_ON_OBJECT) - 1e-6
    on &= overlap > 0
    return (scores * on).sum(-1) / on.sum(-1).clamp(min=1)


def _mean(values: Tensor, of: Tensor) -> Tensor:
    """[2] sum and number of the values where `of` is true; computed without waiting for the device."""
    return torch.stack([torch.where(of, values, 0.0).sum(), of.sum().to(values.dtype)])
