"""How FEAR tracks: a search region that keeps no aspect ratio, and the best cell of the score map (ECCV 2022).

B targets, n search cells on each side, S side of the search region in pixels.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ...core.boxes import clip_box
from ...core.frame import VISIBLE, Frame, Streams
from ...core.target import Target
from ...core.view import BLACK, View, mean_colour, place_stretched
from ...layers.trunks.fbnet import FBNetTrunk
from ..method import Answer, OneView, TargetAnswer
from ..siamese.network import gather_rows, hann_window, size_penalty

if TYPE_CHECKING:
    from .network import Fear

STRIDE = FBNetTrunk.stride  # pixels of the search region between two cells
MARGIN = 3  # pixels of width and height of every box that stay inside the frame


class FearSettings(NamedTuple):
    """What the method keeps about a target besides its memory."""

    fill: np.ndarray  # [3 M] uint8, the first frame's mean colour
    step: np.ndarray  # [2] pixels that the target's centre moved a frame, averaged over the last frames


class RankedCells(NamedTuple):
    """The box of each cell; the cell with the highest rank wins."""

    boxes: Tensor  # [B, N, 4] cxcywh in crop units
    scores: Tensor  # [B, N] in [0, 1]
    ranks: Tensor  # [B, N]


class FearMethod(OneView):
    """The box of the cell with the highest rank, without smoothing."""

    search_grid = (
        "TEST.PENALTY_K=0.02,0.06,0.1,0.15", "TEST.WINDOW_INFLUENCE=0.2,0.3,0.4,0.5", "TEST.SEARCH_FACTOR=4.5,5,5.5",
    )  # fmt: skip
    network: "Fear"

    def __init__(self, network: "Fear", test: EasyDict):
        super().__init__(network, test)
        self.template_size, self.search_size = test.TEMPLATE_SIZE, test.SEARCH_SIZE
        self.template_factor, self.search_factor = test.TEMPLATE_FACTOR, test.SEARCH_FACTOR
        self.penalty_k, self.influence = test.PENALTY_K, test.WINDOW_INFLUENCE
        self.motion, self.motion_rate = test.MOTION, test.MOTION_RATE
        self.temperature: float = test.TEMPERATURE
        self.padding: str = test.TEMPLATE_PADDING
        self.stream: str = test.STREAM if network.modalities == 1 else VISIBLE
        self.hold_below: float = test.HOLD_SCORE
        self.update = test.TEMPLATE_UPDATE
        self.updates_template = self.update.INTERVAL > 0

    @property
    def streams(self) -> Streams:
        """Of a network with one modality the stream of TEST.STREAM."""
        return super().streams._replace(single=self.stream)

    def initial_settings(self, frame: Frame, box: np.ndarray) -> FearSettings:
        """The colour of the padding."""
        return FearSettings(np.concatenate([mean_colour(image) for image in frame.images]), np.zeros(2))

    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """TEMPLATE_FACTOR times the box. The box is rounded to whole pixels, as in all frames."""
        fill = BLACK if self.padding == "black" else target.state.settings.fill
        return [place_stretched(np.rint(target.box), self.template_factor, self.template_size, fill)]

    def views(self, target: Target, frame: Frame) -> list[View]:
        """SEARCH_FACTOR times the box, where the target is expected."""
        ahead = np.append(self.motion * target.state.settings.step, (0, 0))
        box = self.clip(target.box + ahead, frame.size) if self.motion else round_box(target.box)
        return [place_stretched(box, self.search_factor, self.search_size, target.state.settings.fill)]

    def search_sides(self, target: Target) -> tuple[float, int]:
        """As `views`: the shorter side."""
        return float(round_box(target.box)[2:].min()) * self.search_factor, self.search_size

    def begin(self, pixels: Tensor, boxes: Tensor) -> Any:
        """The template's features."""
        return self.network.embed(self.images(pixels))

    def decide(self, memory: Any, prediction: Any, pixels: Tensor, prior: Tensor) -> Answer:
        """Box and score of the cell with the highest rank."""
        ranked = self.rank(prediction.logits, prediction.distances, prior[:, 0])
        return self.answer(*self.best(ranked), memory, prediction)

    def rank(self, logits: Tensor, distances: Tensor, prior: Tensor) -> RankedCells:
        """logits [B, n, n], distances [B, 4, n, n], last width and height [B, 2] in crop units -> RankedCells"""
        return self.rank_scores(self.scores(logits), distances, prior)

    @staticmethod
    def best(ranked: RankedCells) -> tuple[Tensor, Tensor]:
        """Box [B, 4] and score [B] of the cell with the highest rank."""
        place = ranked.ranks.argmax(1)
        return gather_rows(ranked.boxes, place), gather_rows(ranked.scores, place)

    def scores(self, logits: Tensor) -> Tensor:
        """In [0, 1], of logits of any shape."""
        return (logits.float() / self.temperature).sigmoid()

    def rank_scores(self, scores: Tensor, distances: Tensor, prior: Tensor) -> RankedCells:
        """As `rank`, of scores [B, n, n]."""
        cells, scores = scores.shape[-1], scores.flatten(1)
        boxes = boxes_from_distances(distances.float()).flatten(2).mT
        penalty = size_penalty(boxes[..., 2:] * cells * STRIDE, prior[:, None] * cells * STRIDE, self.penalty_k)
        window = hann_window(cells, scores.device).flatten()
        ranks = scores * penalty * (1 - self.influence) + self.influence * window
        return RankedCells(boxes, scores, ranks)

    def update_target(self, target: Target, view: View, answer: TargetAnswer, frame: tuple[int, int]) -> Target:
        """As in other methods; below TEST.HOLD_SCORE the box stays where it was, and the target counts as lost."""
        moved = super().update_target(target, view, answer, frame)
        if moved.score < self.hold_below:
            moved = replace(moved, box=view.around, found=False)
        if not self.motion:
            return moved
        settings = target.state.settings
        step = moved.box[:2] + moved.box[2:] / 2 - target.box[:2] - target.box[2:] / 2
        step = settings.step * (1 - self.motion_rate) + step * self.motion_rate
        return replace(moved, state=moved.state._replace(settings=settings._replace(step=step)))

    def update_views(self, target: Target, frame: Frame) -> list[View]:
        """Every TEMPLATE_UPDATE.INTERVAL frames, where the target is found with at least the score
        TEMPLATE_UPDATE.SCORE."""
        due = self.updates_template and target.age % self.update.INTERVAL == 0
        return self.first_views(target, frame) if due and target.found and target.score >= self.update.SCORE else []

    def merge_memory(self, memory: Any, fresh: Any) -> Any:
        """Blends the features of the old and the new template; which cameras had an image stays."""
        return memory._replace(features=memory.features.lerp(fresh.features, self.update.SHARE))

    def clip(self, box: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """Whole pixels; MARGIN of the box stays inside the frame."""
        return clip_box(round_box(box), *frame, margin=MARGIN)

    def graph_settings(self) -> dict[str, Any]:
        """Sides and factors of the crops, which images they are cut from, and the rules that TEST adds."""
        return {
            "geometry": "StretchedGeometry",
            "template_size": self.template_size,
            "search_size": self.search_size,
            "template_factor": self.template_factor,
            "search_factor": self.search_factor,
            "template_padding": self.padding,
            "margin": MARGIN,
            "stream": self.stream,
            "missing_infrared": self.network.missing_infrared,
            "flat_padding": "mean",
            "hold_score": self.hold_below,
            "motion": self.motion,
            "template_update_interval": self.update.INTERVAL,
            "template_update_share": self.update.SHARE,
            "template_update_score": self.update.SCORE,
        }


def round_box(box: np.ndarray) -> np.ndarray:
    """A box of whole pixels, at least one wide and high: [4] xywh."""
    rounded = np.rint(np.asarray(box, np.float64))
    return np.concatenate([rounded[:2], np.maximum(rounded[2:], 1)])


def cell_points(cells: int, device: torch.device) -> Tensor:
    """The point of each column (row) of cells, in units of the crop: [n]. The last point is one cell before the end."""
    return torch.arange(cells, dtype=torch.float32, device=device) / cells


def boxes_from_distances(distances: Tensor) -> Tensor:
    """Distances to the left, top, right and bottom side in pixels -> boxes: [B, 4, n, n] -> [B, 4, n, n] cxcywh in
    crop units."""
    cells = distances.shape[-1]
    points = cell_points(cells, distances.device)
    left, top, right, bottom = (distances / (cells * STRIDE)).unbind(1)
    x, y = points[None, None, :] + (right - left) / 2, points[None, :, None] + (bottom - top) / 2
    return torch.stack([x, y, left + right, top + bottom], dim=1)
