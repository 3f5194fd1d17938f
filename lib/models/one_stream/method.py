"""How a one-stream network tracks: one search region around the last box, the best cell of the score map (OSTrack).

B targets, M modalities.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from easydict import EasyDict
from torch import Tensor

from ...core.boxes import clip_box
from ...core.frame import Frame
from ...core.target import Target
from ...core.view import MARGIN, View, place_square
from ..method import Answer, OneView, TargetAnswer

if TYPE_CHECKING:
    from .network import Memory, OneStream


_MOST_BIAS = 2.0  # largest factor by which the network is taken to overestimate or underestimate a side


class OneStreamSettings(NamedTuple):
    """What the method keeps of a target besides its memory."""

    bias: np.ndarray  # [2] how much the network overestimates width and height: 1 where nothing is known


class OneStreamMethod(OneView):
    """The box of the cell where score map times Hann window is highest, in a square search region (OSTrack).

    TEST.CALIBRATE and TEST.SIZE_RATE are additions of this toolbox, for networks whose sizes are imprecise.
    """

    network: "OneStream"
    search_grid = ("TEST.SEARCH_FACTOR=3.5,4,4.5,5", "TEST.SIZE_RATE=0.3,0.6,1")

    def __init__(self, network: "OneStream", test: EasyDict):
        super().__init__(network, test)
        self.template_size, self.search_size = test.TEMPLATE_SIZE, test.SEARCH_SIZE
        self.template_factor, self.search_factor = test.TEMPLATE_FACTOR, test.SEARCH_FACTOR
        self.calibrates, self.size_rate = test.CALIBRATE, test.SIZE_RATE

    def initial_settings(self, frame: Frame, box: np.ndarray) -> OneStreamSettings:
        """No bias is known yet."""
        return OneStreamSettings(np.ones(2))

    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """One square of side template_factor * sqrt(w h)."""
        return [place_square(target.box, self.template_factor, self.template_size, frame.size)]

    def views(self, target: Target, frame: Frame) -> list[View]:
        """One square of side search_factor * sqrt(w h)."""
        return [place_square(target.box, self.search_factor, self.search_size, frame.size)]

    def search_sides(self, target: Target) -> tuple[float, int]:
        """As `views`."""
        return math.sqrt(target.box[2] * target.box[3]) * self.search_factor, self.search_size

    def begin(self, pixels: Tensor, boxes: Tensor) -> "Memory":
        """The templates' tokens."""
        return self.network.embed(self.images(pixels), boxes[:, 0].to(self.network.dtype))

    def decide(self, memory: "Memory", prediction: Any, pixels: Tensor, prior: Tensor) -> Answer:
        """The OSTrack code base does not use the prior size."""
        boxes, scores = self.network.box_head.decode(prediction, self.network.window)
        return self.answer(boxes, scores, memory, prediction)

    def calibrate(self, settings: OneStreamSettings, answer: TargetAnswer, given: np.ndarray) -> OneStreamSettings:
        """Measures in the first frame, whose box is given, how much the network overestimates width and height. The
        settings stay as they are where the network misses the target there."""
        inside = np.isfinite(answer.box).all() and (np.abs(answer.box[:2] - 0.5) < given / 2).all()
        return OneStreamSettings(np.clip(answer.box[2:] / given, 1 / _MOST_BIAS, _MOST_BIAS)) if inside else settings

    def adjust_size(self, size: np.ndarray, prior: np.ndarray, settings: OneStreamSettings) -> np.ndarray:
        """The size divided by the bias; its change against the last size is damped by TEST.SIZE_RATE. The size is
        returned as it is where neither option is used.

        A CORNER head can return corners in the wrong order; such a size counts as 0.
        """
        if not self.calibrates and self.size_rate == 1:
            return size
        return prior * (np.maximum(size, 0) / settings.bias / prior) ** self.size_rate

    def clip(self, box: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """The rule of `clip_box`: a margin of the box stays inside the frame."""
        return clip_box(box, *frame, margin=MARGIN)

    def graph_settings(self) -> dict[str, Any]:
        """Sides and factors of the crops, and how sizes are corrected."""
        return {
            "geometry": "FamilyGeometry",  # the word of the file format since its first version
            "template_size": self.template_size,
            "search_size": self.search_size,
            "template_factor": self.template_factor,
            "search_factor": self.search_factor,
            "calibrates": self.calibrates,
            "size_rate": self.size_rate,
            "margin": MARGIN,
        }
