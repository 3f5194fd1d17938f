"""Losses of ATOM and the DiMP family.

B targets, N images that a filter is learned from, M others, K boxes, n' cells on each side of a score map. Boxes are
xywh in pixels of their image.
"""

from dataclasses import dataclass

import torch
from easydict import EasyDict
from torch import Tensor

from ..layers.discriminative_losses import grid_divergence, hinged_square_loss, sampled_divergence
from ..layers.iou_net import IoUNet, Modulation
from ..layers.proposals import Proposals, draw_by_iou, draw_from_mixture
from ..layers.steepest_descent import Newton
from ..layers.target_classifier import TargetClassifier
from ..layers.target_filter import centre_in_cells, radius_map
from .discriminative_parts import STRIDE, Maps

Losses = dict[str, Tensor]


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

    def __call__(self, scores: list[Tensor], boxes: Tensor, classifier: TargetClassifier) -> Losses:
        """scores: maps [B, M, n', n'] of the filter of each iteration; boxes [B, M, 4] -> weighted losses"""
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
        return losses


@dataclass(frozen=True)
class BoxTraining:
    """What IoU-Net should say of boxes around a target."""

    weight: float
    density: bool  # whether it learns a density of boxes instead of their IoU
    proposals: EasyDict  # TRAIN.PROPOSALS

    @classmethod
    def from_config(cls, cfg: EasyDict) -> "BoxTraining":
        """From TRAIN."""
        return cls(cfg.TRAIN.BOX_WEIGHT, cfg.TRAIN.BOX_LOSS == "density", cfg.TRAIN.PROPOSALS)

    def __call__(self, network: IoUNet, train: Maps, test: Maps, boxes: tuple[Tensor, Tensor]) -> tuple[Losses, Losses]:
        """The weighted loss, and the IoU of the boxes that the network likes best as a figure.

        The first of the images [B, N] of a target modulates the network for the others [B, M]. boxes: [B, N, 4] and [B,
        M, 4] of the target.
        """
        count = boxes[1].shape[1]
        modulation = network.modulate(train.fine[:, 0], train.coarse[:, 0], boxes[0][:, 0])
        modulation = Modulation(*(part.repeat_interleave(count, 0) for part in modulation))
        features = network.embed(test.fine.flatten(0, 1), test.coarse.flatten(0, 1))
        proposals = self.draw(boxes[1].flatten(0, 1))
        scores = network(modulation, features, proposals.boxes)
        if proposals.sampling is not None and proposals.density is not None:
            loss = sampled_divergence(scores, proposals.sampling, proposals.density)
        else:
            loss = (scores - proposals.iou).square().mean()
        chosen = proposals.iou.gather(1, scores.argmax(1, keepdim=True))
        return {"box": self.weight * loss}, {"iou": chosen.mean().detach()}

    def draw(self, truth: Tensor) -> Proposals:
        """Proposals for targets [B, 4]."""
        rules = self.proposals
        if self.density:
            return draw_from_mixture(truth, rules.NUMBER, rules.SIGMAS, rules.DENSITY_SIGMA)
        return draw_by_iou(truth, rules.NUMBER, rules.SIGMAS, rules.LEAST_IOU)
