"""How IIMF lite tracks: as FEAR, on maps that are made of several streams; a camera without an image is left out.

B targets, n search cells on each side.
"""

import functools
import logging
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ...core.boxes import cxcywh_to_xyxy, iou_and_union
from ...core.frame import INFRARED, VISIBLE, Frame
from ...core.target import Target
from ...core.view import View
from ..method import Answer
from .method import FearMethod, RankedCells

if TYPE_CHECKING:
    from .iimf_lite import IIMFLite, Memory, Prediction

log = logging.getLogger(__name__)

CAMERAS = (VISIBLE, INFRARED)
_FLAT_STEP = 64  # pixels between those that are looked at first to find a flat image


class IIMFLiteMethod(FearMethod):
    """FEAR's method for two cameras. A camera without an image (every pixel equal) is left out."""

    network: "IIMFLite"

    def __init__(self, network: "IIMFLite", test: EasyDict):
        super().__init__(network, test)
        self.fusion: str = test.FUSION
        self.agreement = test.AGREEMENT
        self.camera: int | None = None  # of a method for targets that are tracked in this camera alone

    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """As FEAR's."""
        flat = [flat_colour(image) for image in frame.images]
        return [_fill_flat(view, flat) for view in super().first_views(target, frame)]

    def views(self, target: Target, frame: Frame) -> list[View]:
        """As FEAR's. A camera that had an image in the template and fails now is named once."""
        memory = target.state.memory
        flat = [flat_colour(image) for image in frame.images]
        for number, colour in enumerate(flat):
            if colour is not None and memory is not None and not memory.absent[0, number]:
                _say_once(f"{target.name}: the {CAMERAS[number]} image is of one colour; it is left out while it is")
        return [_fill_flat(view, flat) for view in super().views(target, frame)]

    def predict(self, memory: "Memory", pixels: Tensor) -> "Prediction":
        """The network's output; where all targets are tracked in one camera alone, that camera's."""
        camera = self.only_camera(memory) if self.camera is None else self.camera
        images = self.images(pixels)
        return self.network(memory, images) if camera is None else self.network.search_alone(memory, images, camera)

    def decide(self, memory: "Memory", prediction: "Prediction", pixels: Tensor, prior: Tensor) -> Answer:
        """As FEAR's, on the maps that TEST.FUSION makes of the streams; for targets in one camera alone, on its map."""
        if self.camera is not None or (self.fusion == "learned" and not self.agreement.SHARE):
            return super().decide(memory, prediction, pixels, prior)
        there = ~self.network.absent(memory, self.images(pixels))
        if self.fusion == "learned":
            return self._decide_by_agreement(memory, prediction, there, prior[:, 0])
        join = self._higher_rank if self.fusion == "max" else self._mean_scores
        return self.answer(*self.best(join(prediction, there, prior[:, 0])), memory, prediction)

    def _decide_by_agreement(self, memory: "Memory", found: "Prediction", there: Tensor, prior: Tensor) -> Answer:
        """The best cell of the learned map, with the box of one camera alone where the other camera's own best boxes
        have agreed less with the chosen ones. there: [B, 2] bool, whether a camera has an image; prior: [B, 2]."""
        agreement, least = memory.agreement, self.agreement.SHARE
        doubtful = there.flip(1) & (agreement < least * agreement.flip(1))
        distances = found.distances
        for camera in range(2):
            other = doubtful[:, 1 - camera, None, None, None]
            distances = torch.where(other, found.stream_distances[:, camera].to(distances.dtype), distances)
        # of each target three maps: the chosen one, the visible and the infrared stream's own
        logits = torch.cat([found.logits.float()[:, None], found.stream_logits[:, :2].float()], 1)
        sides = torch.cat([distances.float()[:, None], found.stream_distances[:, :2].float()], 1)
        ranked = self.rank(logits.flatten(0, 1), sides.flatten(0, 1), prior.repeat_interleave(3, 0))
        boxes, scores = (part.unflatten(0, (-1, 3)) for part in self.best(ranked))
        corners = cxcywh_to_xyxy(boxes)
        overlap = iou_and_union(corners[:, 1:], corners[:, :1])[0]
        kept = torch.where(there, agreement.lerp(overlap.nan_to_num(0), self.agreement.RATE), agreement)
        return self.answer(boxes[:, 0], scores[:, 0], memory._replace(agreement=kept), found)

    def only_camera(self, memory: "Memory") -> int | None:
        """The camera that all these targets are tracked in alone, so that the other one need not be computed. None
        where there is none, and where asking would make a device wait, or a graph depend on its example."""
        if memory.absent.device.type != "cpu" or torch.compiler.is_compiling():
            return None
        alone = {tuple(row) for row in (memory.absent == 0).tolist()}
        return {(True, False): 0, (False, True): 1}.get(alone.pop()) if len(alone) == 1 else None

    def variant(self, memory: "Memory") -> str:
        """The name of the camera that all these targets are tracked in alone."""
        camera = self.only_camera(memory)
        return "" if camera is None else CAMERAS[camera]

    def make_variant(self, name: str) -> "IIMFLiteMethod":
        """For targets of one camera."""
        method = copy(self)
        method.camera = CAMERAS.index(name)
        return method

    def _higher_rank(self, found: "Prediction", there: Tensor, prior: Tensor) -> RankedCells:
        """The cells of both cameras. there: [B, 2] bool, whether a camera has an image; prior: [B, 2]."""
        own = self._rank_alone(found, prior)
        ranks = [one.ranks.masked_fill(~there[:, k, None], -1.0) for k, one in enumerate(own)]
        return RankedCells(
            torch.cat([one.boxes for one in own], 1), torch.cat([one.scores for one in own], 1), torch.cat(ranks, 1)
        )

    def _rank_alone(self, found: "Prediction", prior: Tensor) -> list[RankedCells]:
        """The cells of each camera alone. prior: [B, 2]."""
        return [self.rank(found.stream_logits[:, k], found.stream_distances[:, k], prior) for k in range(2)]

    def _mean_scores(self, found: "Prediction", there: Tensor, prior: Tensor) -> RankedCells:
        """In each cell the mean of both cameras' scores, and their box sides weighted by them."""
        seen = there[:, :, None, None]
        own = self.scores(found.stream_logits[:, :2]) * seen
        shares = own.clamp(min=torch.finfo(own.dtype).tiny) * seen
        shares = shares / shares.sum(1, keepdim=True)  # of a camera alone exactly 1
        distances = (shares[:, :, None] * found.stream_distances[:, :2].float()).sum(1)
        return self.rank_scores(own.sum(1) / seen.sum(1), distances, prior)

    def graph_settings(self) -> dict[str, Any]:
        """As FEAR's; the padding of an image of one colour has that colour."""
        return super().graph_settings() | {"flat_padding": "own"}

    def update_views(self, target: Target, frame: Frame) -> list[View]:
        """As FEAR's, where both cameras had an image in all templates and have one now: a camera alone is followed as
        FEAR follows it."""
        due = super().update_views(target, frame)
        if due and (target.state.memory.absent.any() or any(flat_colour(image) is not None for image in frame.images)):
            return []
        return due

    def merge_memory(self, memory: "Memory", fresh: "Memory") -> "Memory":
        """As FEAR's; nothing changes where the new template shows nothing in one camera."""
        missing = fresh.absent.amax(1)[:, None, None, None, None] > 0
        merged = super().merge_memory(memory, fresh)
        return memory._replace(features=torch.where(missing, memory.features, merged.features))


def flat_colour(image: np.ndarray) -> np.ndarray | None:
    """The colour of an image whose pixels are all equal; None for any other: [H, W, 3] uint8 -> [3] uint8 or None."""
    colour, first = image[0, 0], image[0]
    if (image[::_FLAT_STEP, ::_FLAT_STEP] != colour).any() or (first != colour).any():
        return None
    return colour if (image == first).all() else None


def _fill_flat(view: View, flat: Sequence[np.ndarray | None]) -> View:
    """The view with padding of an image's own colour where the image is flat, so that its crop is flat too.

    flat: of each image, as `flat_colour` finds it."""
    if view.fill is None or all(colour is None for colour in flat):
        return view
    fill = np.broadcast_to(view.fill, 3 * len(flat)).copy()
    for number, colour in enumerate(flat):
        if colour is not None:
            fill[3 * number : 3 * number + 3] = colour
    return replace(view, fill=fill)


@functools.cache
def _say_once(message: str) -> None:
    log.warning(message)
