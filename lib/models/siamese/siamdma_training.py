"""Training of SiamDMA: labels, losses, figures, learning stages (He, 2021; SiamBAN, CVPR 2020).

B pairs, n score cells on each side. Boxes are cxcywh, pixels of the search region relative to its middle. The visible
box is the label of all classifiers, of the infrared camera's too.
"""

from dataclasses import dataclass
from typing import Any

import torch
from easydict import EasyDict
from torch import Tensor

from ...core.boxes import cxcywh_to_xyxy, iou_and_union
from ...layers.losses import balanced_cross_entropy, side_distance_loss
from ...layers.siamese.anchor_labels import NEGATIVE, POSITIVE
from ...layers.siamese.ban import boxes_from_sides, grid_points
from ...layers.siamese.point_labels import EllipseRule, PointLabels
from ..base import PAIR_KINDS, PairBatch
from .network import gather_rows

_STREAMS = ("visible", "infrared")
_FROZEN = 2  # stages of a pretrained trunk that never learn


@dataclass(frozen=True)
class SiamDMATraining:
    """Labels, losses and schedule of the trunk, from a configuration."""

    labels: EllipseRule
    cls_weight: float
    loc_weight: float
    stream_weights: tuple[float, float]  # of the visible and the infrared camera's own classification
    loc_loss: str  # form of `side_distance_loss`
    stages: int  # last stages of the trunk that learn
    unfreeze_epoch: int  # epoch from which the trunk learns

    @classmethod
    def from_config(cls, cfg: EasyDict, stages: int) -> "SiamDMATraining":
        """The rules of TRAIN; stages: number of the trunk's stages. With pretrained weights the first two, stem and
        res2, never learn; a trunk without learns completely from the first epoch."""
        train, rule = cfg.TRAIN, cfg.TRAIN.LABELS
        labels = EllipseRule(rule.POSITIVE_ELLIPSE, rule.NEGATIVE_ELLIPSE, rule.POSITIVES, rule.NEGATIVES, rule.FOREIGN)
        scratch = not cfg.MODEL.PRETRAIN_FILE
        most = min(train.TRUNK_STAGES, stages - _FROZEN)
        learning, epoch = (stages, 0) if scratch else (most, train.UNFREEZE_EPOCH)
        weights = (train.VISIBLE_WEIGHT, train.INFRARED_WEIGHT)
        return cls(labels, train.CLS_WEIGHT, train.LOC_WEIGHT, weights, train.LOC_LOSS, learning, epoch)

    def learning_stages(self, epoch: int) -> int:
        """The number of the trunk's last stages that learn in an epoch (counted from 1)."""
        return self.stages if epoch >= self.unfreeze_epoch else 0

    def __call__(self, prediction: Any, batch: PairBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted losses, and figures for the log. prediction: logits [B, 2, n, n], distances [B, 4, n, n] and
        stream_logits, [B, 2, 2, n, n] or None; batch: its search_box [B, 4] as defined at the top of the file."""
        points = grid_points(prediction.logits.shape[-1], prediction.logits.device)
        labels = self.labels(points, batch.search_box, batch.positive)
        losses = self.losses(prediction, labels)
        with torch.no_grad():
            return losses, self.figures(prediction, labels, batch)

    def losses(self, prediction: Any, labels: PointLabels) -> dict[str, Tensor]:
        """Classification and boxes of the whole prediction, classification by each camera alone; weighted."""
        classes, positive = labels.classes, labels.classes == POSITIVE
        distance = side_distance_loss(prediction.distances.float(), labels.distances, positive, self.loc_loss)
        losses = {
            "cls": self.cls_weight * balanced_cross_entropy(prediction.logits.float(), classes),
            "loc": self.loc_weight * distance,
        }
        if prediction.stream_logits is not None:
            each = zip(_STREAMS, self.stream_weights, prediction.stream_logits.float().unbind(1), strict=True)
            losses |= {f"cls_{name}": weight * balanced_cross_entropy(own, classes) for name, weight, own in each}
        return losses

    def figures(self, prediction: Any, labels: PointLabels, batch: PairBatch) -> dict[str, Tensor]:
        """The overlap of the best point's box in positive pairs (iou), by all and by each camera's own classification
        (iou_<camera>, the boxes are the same); the share of positive and negative points that are classified correctly
        (right_on, right_off); the mean highest score by kind of pair (score_<kind>)."""
        here = torch.ones_like(batch.search_box[:, 0], dtype=torch.bool) if batch.positive is None else batch.positive
        boxes = cxcywh_to_xyxy(boxes_from_sides(prediction.distances.float()).flatten(2).mT)
        truth = cxcywh_to_xyxy(batch.search_box)

        def overlap(logits: Tensor) -> Tensor:
            best = (logits[:, 1] - logits[:, 0]).flatten(1).argmax(1)
            return _mean(iou_and_union(gather_rows(boxes, best), truth)[0], here)

        scores = prediction.logits.float().softmax(1)[:, 1]
        figures = {
            "iou": overlap(prediction.logits),
            "right_on": _mean((scores > 0.5).float(), labels.classes == POSITIVE),
            "right_off": _mean((scores < 0.5).float(), labels.classes == NEGATIVE),
        }
        if prediction.stream_logits is not None:
            each = zip(_STREAMS, prediction.stream_logits.unbind(1), strict=True)
            figures |= {f"iou_{name}": overlap(own) for name, own in each}
        if batch.kind is not None:
            highest = scores.flatten(1).amax(1)
            for number, kind in enumerate(PAIR_KINDS):
                figures[f"score_{kind}"] = _mean(highest, batch.kind == number)
        return figures


def _mean(values: Tensor, of: Tensor) -> Tensor:
    """[2] sum and number of the values where `of` is true; computed without waiting for the device."""
    return torch.stack([torch.where(of, values, 0.0).sum(), of.sum().to(values.dtype)])
