"""Losses of ATOM and the DiMP family.

B targets, N images that a filter is learned from, M others, K boxes, n' cells on each side of a score map. Boxes are
xywh in pixels of their image.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from easydict import EasyDict
from torch import Tensor, nn

from ...core.boxes import iou_and_union, xywh_to_xyxy
from ...layers.filters.iou_net import IoUNet, Modulation
from ...layers.filters.losses import grid_divergence, hinged_square_loss, sampled_divergence
from ...layers.filters.steepest_descent import Newton
from ...layers.filters.target_classifier import TargetClassifier
from ...layers.filters.target_filter import centre_in_cells, radius_map
from ..frame_set import FrameSetBatch
from .parts import STRIDE, Maps

_NEAR = 2.0  # cells; the maximum of a score map that is nearer to the target's centre is right, in figures


@dataclass(frozen=True)
class ScoreTraining:
    """What the filters of all iterations should score in other images of their targets."""

    last: float  # weight of the last filter's loss
    first: float  # of the first one's
    middle: float  # of the mean of the others'
    sigma: float  # deviation of the label in cells
    hinge: float  # where the label is lower, scores below 0 cost nothing

    @classmethod
    def from_config(cls, cfg: EasyDict) -> "ScoreTraining":
        """From TRAIN and MODEL.CLASSIFIER."""
        train = cfg.TRAIN
        weights = train.SCORE_WEIGHT, train.FIRST_SCORE_WEIGHT, train.MIDDLE_SCORE_WEIGHT
        return cls(*weights, cfg.MODEL.CLASSIFIER.LABEL_SIGMA, train.HINGE)

    def __call__(
        self, scores: list[Tensor], boxes: Tensor, classifier: TargetClassifier
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """scores: maps [B, M, n', n'] of the filter of each iteration; boxes [B, M, 4] -> weighted losses, and figures
        of the last filter: the share of maxima at the target (hits), the mean score there (score_on)"""
        radius = radius_map(centre_in_cells(boxes, STRIDE, classifier.size), *scores[0].shape[-2:])
        label = torch.exp(-0.5 * (radius / self.sigma).square())
        if isinstance(classifier.filter_optimizer, Newton):
            density = label / label.sum((-2, -1), keepdim=True)
            each = [grid_divergence(own, density) for own in scores]
        else:
            each = [hinged_square_loss(own, label, self.hinge) for own in scores]
        losses = {"score": self.last * each[-1], "first_score": self.first * each[0]}
        if each[1:-1]:
            losses["middle_score"] = self.middle * torch.stack(each[1:-1]).mean()
        with torch.no_grad():
            last, away = scores[-1].flatten(2), radius.flatten(2)
            shown = last.softmax(2) if isinstance(classifier.filter_optimizer, Newton) else last
            figures = {
                "hits": (away.gather(2, last.argmax(2, keepdim=True)) <= _NEAR).float().mean(),
                "score_on": shown.gather(2, away.argmin(2, keepdim=True)).mean(),
            }
        return losses, figures


class FrozenLayers:
    """The first layers of a ResNet, which do not learn; their BatchNorm keeps its running statistics."""

    EVERY: ClassVar[int] = 5

    def __init__(self, backbone: nn.Module, layers: int):
        """layers: how many: the first convolution with its BatchNorm, then `layer1` and so on; EVERY: all there are."""
        names = [("conv1", "bn1"), *((f"layer{number}",) for number in range(1, 5))][:layers]
        self.parts = [backbone.get_submodule(name) for group in names for name in group if hasattr(backbone, name)]
        for part in self.parts:
            part.requires_grad_(False)

    def keep(self) -> None:
        """To be called after every change of the training mode."""
        for part in self.parts:
            part.eval()


def box_losses(network: IoUNet, train: Maps, test: Maps, batch: FrameSetBatch) -> tuple[Tensor, Tensor]:
    """IoU-Net's loss, and the mean IoU of the proposals that it likes best. It learns the IoU from -1 (none) to 1.

    The first of the images [B, N] of a target modulates the network for the others [B, M].
    """
    count = batch.test_boxes.shape[1]
    modulation = network.modulate(train.fine[:, 0], train.coarse[:, 0], batch.train_boxes[:, 0])
    modulation = Modulation(*(part.repeat_interleave(count, 0) for part in modulation))
    features = network.embed(test.fine.flatten(0, 1), test.coarse.flatten(0, 1))
    proposals, wanted = batch.proposals.flatten(0, 1), batch.wanted.flatten(0, 1)
    scores = network(modulation, features, proposals)
    if batch.sampling is None:
        loss = (scores - (2 * wanted - 1)).square().mean()
    else:
        loss = sampled_divergence(scores, batch.sampling.flatten(0, 1), wanted)
    best = scores.argmax(1)[:, None, None].expand(-1, 1, 4)
    favourites = proposals.gather(1, best)[:, 0]
    iou, _ = iou_and_union(xywh_to_xyxy(favourites), xywh_to_xyxy(batch.test_boxes.flatten(0, 1)))
    return loss, iou.mean().detach()
