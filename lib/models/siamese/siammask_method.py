"""How SiamMask tracks: as SiamRPN++, and a mask of the chosen cell, which never changes where the next search looks.

B targets, n score cells on each side.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ...core.frame import Frame
from ...core.sampled_mask import SampledMask, hull_box, same_area_box
from ...core.target import Target
from ...core.view import View
from ...layers.siamese.mask_windows import BEFORE, Cells, place_in_region
from ..method import Answer, TargetAnswer
from .siamrpnpp import SiamRPNPPMethod

if TYPE_CHECKING:
    from .siammask import SiamMask

#: TEST.BOX -> the box around the corners of the rotated one.
_AROUND_CORNERS = {"corners": hull_box, "area": same_area_box}


class SiamMaskMethod(SiamRPNPPMethod):
    """TEST.BOX says which box is reported: the proposal's, or one that fits the mask. The next search goes on from the
    proposal's in any case."""

    network: "SiamMask"

    def __init__(self, network: "SiamMask", test: EasyDict):
        """Raises InputError as the base."""
        super().__init__(network, test)
        self.source: str = test.BOX
        self.threshold, self.least_area = test.MASK_THRESHOLD, test.MASK_AREA
        self.masks: bool = test.MASK or self.source != "proposal"
        self.first_masks = test.MASK

    def graph_settings(self) -> dict[str, Any]:
        """As the base's, and which box is reported: a graph's answer is the proposal's."""
        return {**super().graph_settings(), "box": self.source}

    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """As the base's, around the proposal's box."""
        return super().first_views(self._at_proposal(target, frame.size), frame)

    def views(self, target: Target, frame: Frame) -> list[View]:
        """As the base's, around the proposal's box."""
        return super().views(self._at_proposal(target, frame.size), frame)

    def search_sides(self, target: Target) -> tuple[float, int]:
        """As `views`."""
        return super().search_sides(self._at_proposal(target))

    def _at_proposal(self, target: Target, frame: tuple[int, int] | None = None) -> Target:
        own = target.state.settings.own
        if own is None:
            return target
        return replace(target, box=own if frame is None else self.clip(own, frame))

    def decide(self, memory: Any, prediction: Any, pixels: Tensor, prior: Tensor) -> Answer:
        """As the base's, with the mask of the cell of the best proposal where masks are asked for."""
        answer = super().decide(memory, prediction, pixels, prior)
        mask = None
        if self.masks:
            size, grid = pixels.shape[-1], prediction.logits.shape[-1]
            ranks = self.propose(prediction, prior[:, 0] * size, self.influence_in(size)).ranks
            place = ranks.argmax(1) % grid**2
            cells = Cells(torch.arange(place.shape[0], device=place.device), place // grid, place % grid)
            mask = place_in_region(self.network.masks(prediction, cells).float().sigmoid(), cells, grid)
        return answer._replace(prediction=prediction._replace(correlation=None, finer=None, mask=mask))

    def target_masks(self, prediction: Any) -> Tensor | None:
        """The probabilities of a square around the search region, [B, M, M], where masks are asked for: BEFORE pixels
        of the region lie before it."""
        return prediction.mask

    def update_target(self, target: Target, view: View, answer: TargetAnswer, frame: tuple[int, int]) -> Target:
        """The target with the box of TEST.BOX, its mask and the corners of a rotated box. Where the mask is too small,
        that is the proposal's box."""
        moved = super().update_target(target, view, answer, frame)
        if answer.mask is None or not np.isfinite(answer.mask).all():
            return replace(moved, mask=None, corners=None)
        mask = place_mask(answer.mask, view, frame)
        corners, box = mask.corners(self.threshold, self.least_area), moved.box
        if corners is not None and self.source in _AROUND_CORNERS:
            box = _AROUND_CORNERS[self.source](corners)
        elif self.source == "mask":
            around = mask.box(self.threshold, self.least_area)
            box = box if around is None else around
        settings = moved.state.settings._replace(own=moved.box)
        state = moved.state._replace(settings=settings)
        corners = corners_of(moved.box) if corners is None else corners
        return replace(moved, box=box, mask=mask, corners=corners, state=state)

    def correct(self, target: Target, box: np.ndarray) -> Target:
        """As the base's; the next search goes on from the box."""
        corrected = super().correct(target, box)
        settings = corrected.state.settings._replace(own=None)
        return replace(corrected, state=corrected.state._replace(settings=settings))


def place_mask(values: np.ndarray, view: View, frame: tuple[int, int]) -> SampledMask:
    """A mask [M, M] in pixels of the search region, from BEFORE pixels before it on, in a frame of this height and
    width.

    As in the published code: places are shrunk by (W - 1) / W and (H - 1) / H, and the region begins half its side
    before its centre, up to a pixel from where it was cut.
    """
    height, width = frame
    pixel = view.extent[0] / view.size[0]
    first = view.around[:2] + view.around[2:] / 2 - view.extent[0] / 2 - BEFORE * pixel
    shrink = (width - 1) / width, (height - 1) / height
    origin, scale = (
        [value * share for value, share in zip(pair, shrink, strict=True)] for pair in (first, (pixel,) * 2)
    )
    return SampledMask(values, (float(origin[0]), float(origin[1])), (scale[0], scale[1]), frame)


def corners_of(box: np.ndarray) -> np.ndarray:
    """The corners of an upright box: [4] xywh -> [4, 2] x y."""
    x, y, w, h = box
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
