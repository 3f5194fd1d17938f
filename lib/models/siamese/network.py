"""What Siamese trackers share: crops with context, and the choice of one of many proposals (SiamRPN, CVPR 2018).

B targets, N proposals, n score cells on each side. Boxes are cxcywh in pixels of the crop, relative to its centre.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ...core.frame import Frame
from ...core.rounding import round_half_up
from ...core.target import Target
from ...core.view import MARGIN, View, context_side, mean_colour, place_with_context
from ..base import Network
from ..method import OneView


class Proposals(NamedTuple):
    """The boxes that a network proposes, with scores and ranks."""

    boxes: Tensor  # [B, N, 4]
    scores: Tensor  # [B, N] probability of being the target
    penalty: Tensor  # [B, N] in (0, 1]: 1 where size and shape did not change
    ranks: Tensor  # [B, N] the proposal with the highest rank wins


@dataclass(frozen=True)
class ProposalSelection:
    """The rule that selects a proposal. Its constants are tuned for a set of weights."""

    penalty_k: float  # how strongly changes of size and shape count against a proposal
    window_influence: float  # weight of the window in the rank; the penalised score has the rest
    rate: float  # rate of the size update, multiplied by penalty and score

    def rank(
        self, boxes: Tensor, scores: Tensor, window: Tensor, prior: Tensor, influence: float | None = None
    ) -> Proposals:
        """Boxes [B, N, 4], scores [B, N], window [N], last size [B, 2] -> Proposals; influence: replaces
        window_influence."""
        share = self.window_influence if influence is None else influence
        penalty = size_penalty(boxes[..., 2:], prior[:, None], self.penalty_k)
        ranks = penalty * scores * (1 - share) + window * share
        return Proposals(boxes, scores, penalty, ranks)

    def smooth(self, proposals: Proposals, index: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Box [B, 4] with a smoothed size, and score [B], of the winning proposal `index` [B]."""
        box = gather_rows(proposals.boxes, index)
        score, penalty = gather_rows(proposals.scores, index), gather_rows(proposals.penalty, index)
        rate = (penalty * score * self.rate)[:, None]
        return torch.cat([box[:, :2], prior * (1 - rate) + box[:, 2:] * rate], dim=1), score


class ContextSettings(NamedTuple):
    """What `ContextMethod` keeps about a target besides its memory."""

    fill: np.ndarray  # [3 M] uint8, the first frame's mean colour
    usual_size: int  # side of the usual search region, pixels of the network's input
    search_size: int  # side of the next search region; larger while the target is lost
    shifts: np.ndarray | None = None  # [M, 2] pixels from the box's centre to that of each image's crops; None: 0
    own: np.ndarray | None = None  # [4] xywh, what the crops are cut around where another box is reported; None: that


class ContextMethod(OneView):
    """Crops of the target and its context, padded with the first frame's mean colour (SiamFC, ECCVW 2016).

    A target that is small in its first frame may get a larger search region; templates may be updated.
    """

    search_grid = (
        "TEST.PENALTY_K=0.05,0.1,0.15,0.2", "TEST.WINDOW_INFLUENCE=0.3,0.4,0.5", "TEST.SIZE_LR=0.3,0.4,0.5",
    )  # fmt: skip

    def __init__(self, network: Network, test: EasyDict, template_size: int):
        super().__init__(network, test)
        self.template_size, self.search_size = template_size, test.SEARCH_SIZE
        self.context: float = test.CONTEXT
        self.small_share, self.small_size = test.SMALL_TARGET_SHARE, test.SMALL_TARGET_SIZE
        self.update = test.TEMPLATE_UPDATE
        self.updates_template = self.update.INTERVAL > 0

    def initial_settings(self, frame: Frame, box: np.ndarray) -> ContextSettings:
        """Padding colour and search size; TEST.SMALL_TARGET_SHARE is a share of the frame's area."""
        height, width = frame.size
        small = float(box[2]) * float(box[3]) < self.small_share * height * width
        size = self.small_size if small else self.search_size
        return ContextSettings(np.concatenate([mean_colour(image) for image in frame.images]), size, size)

    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """A square around the target with its context; its scale is that of the side rounded to whole pixels."""
        side = round_half_up(context_side(target.box, self.context))
        fill = target.state.settings.fill
        return [place_with_context(target.box, side, self.template_size, self.template_size / side, fill)]

    def views(self, target: Target, frame: Frame) -> list[View]:
        """A square with the scale that a template of the last box would have; a larger crop shows a larger region."""
        side, settings = context_side(target.box, self.context), target.state.settings
        whole, scale = side * settings.search_size / self.template_size, self.template_size / side
        return [place_with_context(target.box, whole, settings.search_size, scale, settings.fill)]

    def search_sides(self, target: Target) -> tuple[float, int]:
        """As `views`."""
        size = target.state.settings.search_size
        return context_side(target.box, self.context) * size / self.template_size, size

    def clip(self, box: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """The centre stays in the frame; width and height lie between MARGIN and the frame's."""
        size = np.array(frame[::-1], np.float64)
        centre = np.clip(box[:2] + box[2:] / 2, 0, size)
        extent = np.clip(box[2:], MARGIN, size)
        return np.concatenate([centre - extent / 2, extent])

    def correct(self, target: Target, box: np.ndarray) -> Target:
        """The next search region of a corrected target has the usual size."""
        settings = target.state.settings
        state = target.state._replace(settings=settings._replace(search_size=settings.usual_size))
        return replace(super().correct(target, box), state=state)

    def update_views(self, target: Target, frame: Frame) -> list[View]:
        """Every TEMPLATE_UPDATE.INTERVAL frames, where the target is found with at least the score
        TEMPLATE_UPDATE.SCORE."""
        due = self.updates_template and target.age % self.update.INTERVAL == 0
        return self.first_views(target, frame) if due and target.found and target.score >= self.update.SCORE else []


def size_penalty(extent: Tensor, prior: Tensor, k: float) -> Tensor:
    """exp(-k (change of size * change of shape - 1)): sizes [..., 2] and [..., 2] -> [...]."""
    shape = extent[..., 0] / extent[..., 1]
    before = prior[..., 0] / prior[..., 1]
    change = _change(before / shape) * _change(context_sides(extent) / context_sides(prior))
    return (-(change - 1) * k).exp()


def context_sides(extent: Tensor) -> Tensor:
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


def gather_rows(values: Tensor, index: Tensor) -> Tensor:
    """[B, N, ...] at index [B] -> [B, ...], at [B, K] -> [B, K, ...]"""
    rows = torch.arange(values.shape[0], device=values.device)
    return values[rows if index.ndim == 1 else rows[:, None], index]


def _change(ratio: Tensor) -> Tensor:
    return torch.maximum(ratio, 1 / ratio)
