"""What trackers share that choose one of many proposals: SiamRPN, DaSiamRPN, SiamDMA.

B targets, A anchors, n score cells on each side. Boxes are cxcywh in pixels of the crop, relative to its centre.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ...core.errors import InputError
from ...core.frame import Frame
from ...core.rounding import round_half_up
from ...core.target import Target
from ...core.view import EXEMPLAR, MARGIN, View, context_side, place_with_context
from ..base import Network, ScoreMap
from ..method import Answer
from .long_term import LongTerm
from .network import (
    ContextMethod,
    ContextSettings,
    Proposals,
    ProposalSelection,
    context_sides,
    gather_rows,
    hann_window,
    to_crop_units,
)

_FIRST = -0.5  # pixels from the centre of a given box to that of its crops, the middle of its first and last pixel


class ProposalNetwork(Network):
    """A network whose prediction has `logits`, [B, 2, A, n, n] or [B, 2, n, n] (background, target)."""

    stride: int = 8  # pixels of the search region between two cells
    extra_cells: int = 0  # n = (side of the search region - 127) / stride + 1 + extra_cells
    size_step: int = 8  # the side of a search region is 127 plus a multiple of it
    #: The module whose `rename`, `adopt` and `export` know the public names of the weights.
    names: ClassVar[ModuleType]
    backbone: Any
    training_rules: Any

    @classmethod
    def rename(cls, key: str) -> str:
        """As the module's."""
        return cls.names.rename(key)

    def adopt(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As the module's."""
        return self.names.adopt(weights, self.state_dict())

    def publish(self, naming: str) -> dict[str, Tensor]:
        """As the module's `export`."""
        return self.names.export(self.state_dict(), naming)

    def read_boxes(self, prediction: Any) -> Tensor:
        """The box of each proposal: [B, 4, ...] with the dimensions behind the logits' second one."""
        raise NotImplementedError

    def read(self, prediction: Any) -> Tensor:
        """The box of the most probable proposal."""
        best = target_probability(prediction).flatten(1).argmax(1)
        boxes = gather_rows(self.read_boxes(prediction).flatten(2).mT, best)
        return to_crop_units(boxes, self.region_size(prediction))

    def region_size(self, prediction: Any) -> int:
        """Side of the search region of a prediction, pixels."""
        return EXEMPLAR + self.stride * (prediction.logits.shape[-1] - 1 - self.extra_cells)

    def score_map(self, prediction: Any) -> ScoreMap:
        """The best proposal's probability in each cell; the middle cell lies in the middle of the search region."""
        scores = target_probability(prediction)
        scores, step = scores.amax(1) if scores.ndim == 4 else scores, self.stride / self.region_size(prediction)
        return ScoreMap(scores, 0.5 - step * (scores.shape[-1] - 1) / 2, step)

    @classmethod
    def check_size(cls, key: str, size: int) -> None:
        """Raises InputError with the key where the side of a search region is not 127 plus a multiple of
        `size_step`."""
        step = cls.size_step
        if size <= EXEMPLAR or (size - EXEMPLAR) % step:
            near = EXEMPLAR + step * max(1, round((size - EXEMPLAR) / step))
            raise InputError(f"{key}: {size} is not {EXEMPLAR} plus a multiple of {step}; give {near}, for example")

    def set_epoch(self, epoch: int) -> None:
        """Sets which stages of the trunk learn in this epoch."""
        self.backbone.learn_last(self.training_rules.learning_stages(epoch))


class ProposalMethod(ContextMethod):
    """Takes the proposal with the highest rank and smooths its size. With `long_term` a lost target is searched in a
    larger region, and stays where it was while no score is high enough."""

    network: ProposalNetwork
    long_term: LongTerm | None = None
    lost_influence: float = 0.0  # weight of the window while the target is lost: it may be anywhere

    def __init__(self, network: ProposalNetwork, test: EasyDict):
        """Raises InputError for search regions of a size that the network does not take."""
        super().__init__(network, test, EXEMPLAR)
        for key in ("SEARCH_SIZE", "SMALL_TARGET_SIZE"):
            network.check_size(f"TEST.{key}", test[key])
        self.selection = ProposalSelection(test.PENALTY_K, test.WINDOW_INFLUENCE, test.SIZE_LR)

    def begin(self, pixels: Tensor, boxes: Tensor) -> Any:
        """What the network keeps of the template. `boxes` is not used: the target is in the middle."""
        return self.network.embed(self.images(pixels))

    def decide(self, memory: Any, prediction: Any, pixels: Tensor, prior: Tensor) -> Answer:
        """Box and score of the proposal with the highest rank."""
        size = pixels.shape[-1]
        proposals = self.propose(prediction, prior[:, 0] * size, self.influence_in(size))
        boxes, scores = self.choose(proposals, proposals.ranks.argmax(1), prior[:, 0], size)
        return self.answer(boxes, scores, memory, prediction)

    def propose(self, prediction: Any, prior: Tensor, window_influence: float | None = None) -> Proposals:
        """All proposals with their ranks; prior: [B, 2] pixels; window_influence: replaces the tracker's."""
        boxes = self.network.read_boxes(prediction).flatten(2).mT
        scores = target_probability(prediction)
        anchors = scores.shape[1:-2].numel()
        window = hann_window(scores.shape[-1], boxes.device).flatten().repeat(anchors)
        return self.selection.rank(boxes, scores.flatten(1), window, prior, window_influence)

    def choose(self, proposals: Proposals, index: Tensor, prior: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Box [B, 4] in crop units and score [B] of the proposal `index` [B]; prior: [B, 2] in crop units; size: of the
        search region, pixels."""
        box, score = self.selection.smooth(proposals, index, prior * size)
        if self.long_term is not None and self.long_term.holds(size):
            still = torch.cat([torch.zeros_like(prior), prior * size], dim=1)
            box = torch.where((score >= self.long_term.low)[:, None], box, still)
        return to_crop_units(box, size), score

    def influence_in(self, size: int) -> float | None:
        """The weight of the window in a search region of this size; None: the usual one."""
        return self.lost_influence if self.is_lost(size) else None

    def is_lost(self, size: int) -> bool:
        """Whether a search region of this size belongs to a lost target."""
        return self.long_term is not None and self.long_term.is_lost(size)

    def prepare_next(self, target: Target, frame: tuple[int, int]) -> Target:
        """The search region grows while the target is lost, up to twice the frame's longer side. A target with a grown
        region does not count as found."""
        if self.long_term is None:
            return target
        settings = target.state.settings
        cover = 2 * max(frame) * EXEMPLAR / float(context_sides(torch.from_numpy(target.box[2:])))
        size = self.long_term.next_size(settings.search_size, settings.usual_size, target.score, cover)
        state = target.state._replace(settings=settings._replace(search_size=size))
        return replace(target, state=state, found=target.found and size <= settings.usual_size)


class PysotMethod(ProposalMethod):
    """Crops as pysot cuts them: those of the first frame, and of the search in the second, lie half a pixel off the
    box's centre."""

    def initial_settings(self, frame: Frame, box: np.ndarray) -> ContextSettings:
        """As other methods' with crops of context. box: [4], or [2, 4] with the infrared image's own box."""
        boxes = np.reshape(box, (-1, 4))
        settings = super().initial_settings(frame, boxes[0])
        centres = boxes[:, :2] + boxes[:, 2:] / 2 - boxes[0, :2] - boxes[0, 2:] / 2 + _FIRST
        return settings._replace(shifts=np.broadcast_to(centres, (self.modalities, 2)).copy())

    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """A square around the target with its context; its scale is that of the side rounded to whole pixels."""
        side = round_half_up(context_side(target.box, self.context))
        return [place_cameras(target, side, self.template_size, self.template_size / side)]

    def views(self, target: Target, frame: Frame) -> list[View]:
        """A square with the scale that a template of the last box would have."""
        side, size = context_side(target.box, self.context), target.state.settings.search_size
        return [place_cameras(target, side * size / self.template_size, size, self.template_size / side)]

    def prepare_next(self, target: Target, frame: tuple[int, int]) -> Target:
        """The crops are centred on the box that was found; those of other images as far from it as at the start."""
        settings = target.state.settings
        moved = settings._replace(shifts=settings.shifts - settings.shifts[0])
        return super().prepare_next(replace(target, state=target.state._replace(settings=moved)), frame)

    def graph_settings(self) -> dict[str, Any]:
        """Sides of the crops, share of context, margin of clipping. Raises InputError for what is no part of a graph:
        template updates, search regions of several sizes."""
        if self.updates_template:
            raise InputError(
                "TEST.TEMPLATE_UPDATE: a graph has no template updates; set TEST.TEMPLATE_UPDATE.INTERVAL=0"
            )
        if self.long_term is not None:
            raise InputError("TEST.MODE: a graph has search regions of one size; set TEST.MODE=plain")
        if self.small_share > 0:
            raise InputError(
                "TEST.SMALL_TARGET_SHARE: a graph has search regions of one size; set TEST.SMALL_TARGET_SHARE=0"
            )
        return {
            "geometry": "ContextGeometry",
            "template_size": self.template_size,
            "search_size": self.search_size,
            "context": self.context,
            "margin": MARGIN,
        }


def place_cameras(target: Target, side: float, size: int, scale: float) -> View:
    """The square of `side` pixels around a target: in the first image around its box, in each other one around the
    place that belongs to that image."""
    settings, views = target.state.settings, []
    for shift in settings.shifts:
        box = target.box + np.append(shift, (0, 0))
        views.append(place_with_context(box, side, size, scale, settings.fill))
    corners = tuple(view.corner for view in views[1:])
    return replace(views[0], others=corners) if any(corner != views[0].corner for corner in corners) else views[0]


def target_probability(prediction: Any) -> Tensor:
    """The target's probability for each proposal: logits [B, 2, ...] -> [B, ...]."""
    return prediction.logits.float().softmax(1)[:, 1]
