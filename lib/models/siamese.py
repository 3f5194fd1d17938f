"""What Siamese trackers share: how one of many proposed boxes becomes the target's next one (SiamRPN, CVPR 2018).

B targets, N proposals, n score cells on each side. Boxes are cxcywh, pixels of the search region as the network sees
it, relative to its centre.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor

from ..layers.normalize import RawBGR
from .base import TrackerModel

if TYPE_CHECKING:
    from ..core.geometry import Geometry

TEMPLATE_SIZE = 127  # pixels, the side of every template


class Proposals(NamedTuple):
    """What the network offers, judged by the last size."""

    boxes: Tensor  # [B, N, 4]
    scores: Tensor  # [B, N] probability of being the target
    penalty: Tensor  # [B, N] in (0, 1]: 1 for the last size and shape
    ranks: Tensor  # [B, N] what the best is chosen by


@dataclass(frozen=True)
class Choice:
    """Constants of the choice, which belong to a set of weights."""

    penalty_k: float  # how strongly changes of size and shape count against a proposal
    window_influence: float  # share of the window in the rank, the rest is the penalised score
    rate: float  # how fast the size follows, times penalty and score

    def judge(
        self, boxes: Tensor, scores: Tensor, window: Tensor, prior: Tensor, influence: float | None = None
    ) -> Proposals:
        """[B, N, 4], [B, N], [N], last size [B, 2] -> Proposals; influence: of the window, where it is another."""
        share = self.window_influence if influence is None else influence
        penalty = size_penalty(boxes[..., 2:], prior[:, None], self.penalty_k)
        ranks = penalty * scores * (1 - share) + window * share
        return Proposals(boxes, scores, penalty, ranks)

    def settle(self, proposals: Proposals, index: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """The next box where proposal `index` [B] won, its size smoothed, and its score: [B, 4], [B]."""
        box = take(proposals.boxes, index)
        score, penalty = take(proposals.scores, index), take(proposals.penalty, index)
        rate = (penalty * score * self.rate)[:, None]
        return torch.cat([box[:, :2], prior * (1 - rate) + box[:, 2:] * rate], dim=1), score


class SiameseTracker(TrackerModel):
    """A visible-light tracker with context crops; raw pixels go in."""

    modalities = 1
    backbone_key = "MODEL.BACKBONE.WIDTH"
    training_crops = "context"

    def __init__(self, cfg: EasyDict):
        super().__init__()
        self.normalize = RawBGR()
        self.choice = Choice(cfg.TEST.PENALTY_K, cfg.TEST.WINDOW_INFLUENCE, cfg.TEST.SIZE_LR)
        self.update = cfg.TEST.TEMPLATE_UPDATE
        self.cuts_templates = self.update.INTERVAL > 0

    def wants_template(self, target: Any) -> bool:
        """Every so many frames, where the target is in sight and the network sure enough."""
        due = self.cuts_templates and target.age % self.update.INTERVAL == 0
        return due and target.visible and target.score >= self.update.SCORE

    def geometry(self, test: EasyDict) -> "Geometry":
        """Target and context, padded with the first frame's mean colour."""
        from ..core.geometry import ContextGeometry  # OpenCV comes with it, which a network alone does not need

        return ContextGeometry(
            TEMPLATE_SIZE, test.SEARCH_SIZE, test.CONTEXT, test.SMALL_TARGET_SHARE, test.SMALL_TARGET_SIZE
        )


def size_penalty(extent: Tensor, prior: Tensor, k: float) -> Tensor:
    """exp(-k (change of size * change of shape - 1)): sizes [..., 2] and [..., 2] -> [...]."""
    shape = extent[..., 0] / extent[..., 1]
    before = prior[..., 0] / prior[..., 1]
    change = _change(before / shape) * _change(context_side(extent) / context_side(prior))
    return (-(change - 1) * k).exp()


def context_side(extent: Tensor) -> Tensor:
    """Side of the square of a box and its context, half of (w + h) around it: [..., 2] -> [...]."""
    return (extent + extent.sum(-1, keepdim=True) / 2).prod(-1).sqrt()


def hann_window(grid: int, device: torch.device) -> Tensor:
    """Outer product of two Hann windows with zero end points: [n, n]."""
    ramp = torch.hann_window(grid, periodic=False, device=device)
    return torch.outer(ramp, ramp)


def to_crop_units(boxes: Tensor, size: int) -> Tensor:
    """Pixels relative to the centre -> units of the crop's side from its corner: [..., 4] cxcywh."""
    return torch.cat([boxes[..., :2] / size + 0.5, boxes[..., 2:] / size], dim=-1)


def from_crop_units(boxes: Tensor, size: int) -> Tensor:
    """Units of the crop's side from its corner -> pixels relative to the centre: [..., 4] cxcywh."""
    return torch.cat([(boxes[..., :2] - 0.5) * size, boxes[..., 2:] * size], dim=-1)


def take(values: Tensor, index: Tensor) -> Tensor:
    """[B, N, ...] at index [B] -> [B, ...], at [B, K] -> [B, K, ...]"""
    rows = torch.arange(len(values), device=values.device)
    return values[rows if index.ndim == 1 else rows[:, None], index]


def _change(ratio: Tensor) -> Tensor:
    return torch.maximum(ratio, 1 / ratio)
