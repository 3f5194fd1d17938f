"""How SiamDMA tracks: crops with context, the best cell, a smoothed size; the infrared crop has a centre of its own.

B targets, n score cells on each side.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from easydict import EasyDict
from torch import Tensor

from ..core.errors import InputError
from ..core.frame import Frame, Streams
from ..core.rounding import round_half_up
from ..core.target import Target
from ..core.view import EXEMPLAR, View, context_side, mean_colour, place_with_context
from .method import Answer
from .siamese import ContextMethod, ContextSettings, Proposals, ProposalSelection, hann_window, to_crop_units

if TYPE_CHECKING:
    from .siamdma import SiamDMA

_FIRST = -0.5  # pixels from the centre of a given box to that of its crops, the middle of its first and last pixel


class SiamDMAMethod(ContextMethod):
    """Takes the cell with the highest rank and smooths the box's size. The template may be blended with later ones."""

    network: "SiamDMA"

    def __init__(self, network: "SiamDMA", test: EasyDict):
        """Raises InputError for search regions without a middle cell."""
        super().__init__(network, test, EXEMPLAR)
        for key in ("SEARCH_SIZE", "SMALL_TARGET_SIZE"):
            network.check_size(f"TEST.{key}", test[key])
        self.selection = ProposalSelection(test.PENALTY_K, test.WINDOW_INFLUENCE, test.SIZE_LR)
        self.own_centre: bool = test.IR_INIT == "own"

    @property
    def streams(self) -> Streams:
        """With TEST.IR_INIT `own` the infrared image has a first box of its own, where the data set has one."""
        return super().streams._replace(own_boxes=self.own_centre)

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

    def begin(self, pixels: Tensor, boxes: Tensor) -> Any:
        """The template's features. `boxes` is not used: the target is in the middle."""
        return self.network.embed(self.images(pixels))

    def decide(self, memory: Any, prediction: Any, pixels: Tensor, prior: Tensor) -> Answer:
        """Box and score of the cell with the highest rank."""
        size = pixels.shape[-1]
        prior = prior[:, 0] * size
        proposals = self.propose(prediction, prior)
        box, score = self.selection.smooth(proposals, proposals.ranks.argmax(1), prior)
        return self.answer(to_crop_units(box, size), score, memory, prediction)

    def propose(self, prediction: Any, prior: Tensor) -> Proposals:
        """The boxes of all cells with their ranks; prior: [B, 2] pixels."""
        boxes = self.network.boxes(prediction).flatten(2).mT
        scores = prediction.logits.float().softmax(1)[:, 1].flatten(1)
        window = hann_window(prediction.logits.shape[-1], boxes.device).flatten()
        return self.selection.rank(boxes, scores, window, prior)

    def prepare_next(self, target: Target, frame: tuple[int, int]) -> Target:
        """The crops are centred on the box that was found; the infrared ones as far from it as at the start."""
        settings = target.state.settings
        moved = settings._replace(shifts=settings.shifts - settings.shifts[0])
        return replace(target, state=target.state._replace(settings=moved))

    def update_views(self, target: Target, frame: Frame) -> list[View]:
        """As other methods' with crops of context; the padding has the mean colour of the frame itself."""
        fill = np.concatenate([mean_colour(image) for image in frame.images])
        return [replace(view, fill=fill) for view in super().update_views(target, frame)]

    def merge_memory(self, memory: Any, fresh: Any) -> Any:
        """Blends the features of the old and the new template, and looks at the result anew."""
        return self.network.remember(memory.features.lerp(fresh.features, self.update.SHARE))

    def graph_settings(self) -> dict[str, Any]:
        """Sides of the crops and share of context. Raises InputError with template updates: they are no part of a
        graph."""
        if self.updates_template:
            raise InputError(
                "TEST.TEMPLATE_UPDATE: a graph has no template updates; set TEST.TEMPLATE_UPDATE.INTERVAL=0"
            )
        return {
            "geometry": "ContextGeometry",
            "template_size": self.template_size,
            "search_size": self.search_size,
            "context": self.context,
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
