"""How Alpha-Refine looks at a frame: a crop twice as wide and high as a box, whose box or mask is the answer (Yan et
al., CVPR 2021).

B targets, S side of the crop in pixels.
"""

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from easydict import EasyDict
from torch import Tensor

from ...core.boxes import clip_corners
from ...core.errors import InputError
from ...core.frame import Frame, Streams
from ...core.target import Target
from ...core.target_mask import TargetMask
from ...core.view import BLACK, View, place_stretched
from ..method import Answer, Method, OneView, TargetAnswer

if TYPE_CHECKING:
    from .network import AlphaRefine


class AlphaRefineMethod(OneView):
    """The box between two corners, or around the mask, for the box that a target has. Used by
    lib.test.tracker.refiner on the boxes of another tracker; as a tracker of its own it refines its last box."""

    network: "AlphaRefine"

    def __init__(self, network: "AlphaRefine", test: EasyDict):
        super().__init__(network, test)
        self.template_size, self.search_size = test.TEMPLATE_SIZE, test.SEARCH_SIZE
        self.factor: float = test.SEARCH_FACTOR
        self.stream: str = test.STREAM
        self.blind = int(test.BLANK_BORDER)
        self.exact_pixels: bool = test.PIXELS == "exact"
        self.first_shift: float = test.FIRST_SHIFT
        self.source: str = test.BOX
        self.threshold, self.least_area = test.MASK_THRESHOLD, test.MASK_AREA
        self.masks: bool = test.MASK or self.source == "mask"
        self.rounds: int = test.ROUNDS
        self.clips, self.writes_back, self.back_shift = test.CLIP, test.WRITE_BACK, test.WRITE_BACK_SHIFT
        if self.source == "head" and network.corner_head is None:
            raise InputError("TEST.BOX: head: this network has no box head; set it to mask or base")
        if self.masks and network.mask_head is None:
            raise InputError("TEST.MASK and TEST.BOX: mask: this network has no mask head; set them to false and head")

    @property
    def streams(self) -> Streams:
        """The stream of TEST.STREAM."""
        return super().streams._replace(single=self.stream)

    def initial_settings(self, frame: Frame, box: np.ndarray) -> Any:
        """None."""
        return None

    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """The crop around the first box."""
        shift = np.array([self.first_shift, self.first_shift, 0, 0])
        return [self._place(target.box + shift, self.template_size)]

    def views(self, target: Target, frame: Frame) -> list[View]:
        """The crop around the box that is to be refined."""
        return [self._place(target.box, self.search_size)]

    def _place(self, box: np.ndarray, size: int) -> View:
        return place_stretched(box, self.factor, size, BLACK, rounding=np.ceil, blind=self.blind)

    def search_sides(self, target: Target) -> tuple[float, int]:
        """As `views`: the shorter side."""
        return float(target.box[2:].min()) * self.factor, self.search_size

    def begin(self, pixels: Tensor, boxes: Tensor) -> Any:
        """The features of the target."""
        return self.network.embed(self.images(pixels), boxes[:, 0])

    def predict(self, memory: Any, pixels: Tensor) -> Any:
        """The network's output, with the mask only where it is asked for or the box is read from it."""
        mask = self.masks or self.network.corner_head is None
        return self.network.refine(memory, self.images(pixels), mask=mask)

    def decide(self, memory: Any, prediction: Any, pixels: Tensor, prior: Tensor) -> Answer:
        """The box that the network finds."""
        return self.answer(self.network.read(prediction), self.network.scores(prediction), memory, prediction)

    def target_masks(self, prediction: Any) -> Tensor | None:
        """The probability of each pixel of the crop, where masks are asked for."""
        return prediction.mask[:, 0].float().sigmoid() if self.masks else None

    def to_frame(self, view: View, box: np.ndarray) -> np.ndarray:
        """A box of the crop ([4] cxcywh in crop units) in the frame: [4] xywh pixels.

        TEST.PIXELS original: as the published code, which places the crop where it would lie without rounding, although
        the labels of its training lie half a crop pixel further left and higher. exact: the inverse of these labels in
        the crop as it was cut.
        """
        size, scale = np.array(view.size), np.array(view.scale)
        centre, extent = box[:2] * size, box[2:] * size / scale
        if self.exact_pixels:
            middle = np.array(view.corner) + (centre + 0.5) / scale
        else:
            middle = view.around[:2] - (self.factor - 1) / 2 * view.around[2:] + centre / scale
        return np.concatenate([middle - extent / 2, extent])

    def update_target(self, target: Target, view: View, answer: TargetAnswer, frame: tuple[int, int]) -> Target:
        """The target with the box of TEST.BOX, and its mask where there is one. An answer that is not finite, and a
        mask that is too small, leave the box as it was."""
        moved = super().update_target(target, view, answer, frame)
        mask = None
        if answer.mask is not None and np.isfinite(answer.mask).all():
            mask = TargetMask(answer.mask, view.corner, view.extent)
        box = moved.box
        if self.source != "head":
            around = None if self.source == "base" or mask is None else mask.box(self.threshold, self.least_area)
            box = self.clip(np.asarray(view.around, np.float64) if around is None else around, frame)
        return replace(moved, box=box, mask=mask)

    def clip(self, box: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """TEST.CLIP: MARGIN of the box stays inside the frame."""
        return clip_corners(box, *frame) if self.clips else box

    def further_searches(self) -> dict[str, Method]:
        """The graph "mask", which also computes the mask, where this one does not."""
        if self.masks or self.network.mask_head is None:
            return {}
        other = copy.copy(self)
        other.masks = True
        return {"mask": other}

    def graph_settings(self) -> dict[str, Any]:
        """Sides and factors of the crops, and what is done with boxes and masks."""
        return {
            "geometry": "RefineGeometry",
            "template_size": self.template_size,
            "search_size": self.search_size,
            "factor": self.factor,
            "blank_border": bool(self.blind),
            "pixels": "exact" if self.exact_pixels else "original",
            "stream": self.stream,
            "missing_infrared": self.network.missing_infrared,
        }
