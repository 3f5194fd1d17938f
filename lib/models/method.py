"""How a network is used to track: which crops it sees, which box is chosen, what is learned.

A method is built from a network and the TEST part of a configuration. It is cheap: many methods may share one network.
It stores nothing about any target; that is in `Target.state`. B targets, V views per target, M modalities.
"""

import logging
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ..core.errors import InputError
from ..core.frame import Frame, Streams
from ..core.target import Target
from ..core.view import View
from .base import Network

log = logging.getLogger(__name__)


class CropState(NamedTuple):
    """`Target.state` of every tracker that cuts crops."""

    memory: Any  # tensors about the target: a tree (lib.core.tree), leading dimension 1
    settings: Any = None  # other values that the method keeps about the target, see `Method.initial_settings`


class Answer(NamedTuple):
    """The result of a forward pass for each target."""

    boxes: Tensor  # [B, 4] cxcywh in crop units of the chosen view
    scores: Tensor  # [B]
    found: Tensor  # [B] bool
    view: Tensor  # [B] int64, index of the chosen view
    memory: Any  # after the frame; the same object where nothing was learned
    prediction: Any  # the network's output, for drawing


class TargetAnswer(NamedTuple):
    """The part of an `Answer` that is about one target."""

    box: np.ndarray  # [4] float64, cxcywh in crop units
    score: float
    found: bool
    mask: np.ndarray | None = None  # [S, S] float32 in [0, 1]: the target's pixels in the chosen view


class Method(ABC):
    """The rules of tracking with a network. All views of one target in one frame have the same size."""

    batched: bool = True  # whether a forward pass may hold several targets
    needs_gradients: bool = False  # whether `begin` and `search` use gradients (inside torch.enable_grad)
    compilable: ClassVar[str] = "search"  # torch.compile's graph: "search" is `predict` and `decide`; "predict" is that
    # alone, from pixels without memory, for methods that learn from each frame; "": none
    updates_template: bool = False  # whether `update_views` may return views
    absorbs: bool = False  # whether first and update views are learned by `absorb` (of one target) in place of `begin`
    calibrates: bool = False  # whether a new target is also searched in its first frame, for `calibrate`
    first_masks: bool = False  # whether a new target's mask is searched in its first frame
    search_grid: ClassVar[tuple[str, ...]] = ()  # KEY=VALUES that a search for settings tries unless it is told others
    template_size: int  # side of the template, pixels of the network's input
    search_size: int  # side of the usual search region, pixels of the network's input

    def __init__(self, network: Network, test: EasyDict):
        """test: TEST of a resolved configuration. Raises InputError for values that contradict each other."""
        self.network = network

    @property
    def modalities(self) -> int:
        """The number of images of a frame that the network takes."""
        return self.network.modalities

    @property
    def streams(self) -> Streams:
        """The images of a frame that are read for the network."""
        return Streams(self.modalities, missing=self.network.missing_infrared)

    @abstractmethod
    def initial_settings(self, frame: Frame, box: np.ndarray) -> Any:
        """`CropState.settings` of a new target. box: [4] xywh, pixels."""

    @abstractmethod
    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """The views of a new target that its memory is made from. Raises InputError when its box lies outside the
        frame."""

    @abstractmethod
    def views(self, target: Target, frame: Frame) -> list[View]:
        """The search regions of a target in its next frame. Raises InputError when its box lies outside the frame,
        which happens where a frame is smaller than the one before; the caller then asks again with the box from
        `clip`."""

    @abstractmethod
    def search_sides(self, target: Target) -> tuple[float, int]:
        """Side of the target's next search region before rounding, in frame pixels and in pixels of the network's
        input. Their ratio decides how much smaller the frame may be decoded."""

    @abstractmethod
    def begin(self, pixels: Tensor, boxes: Tensor) -> Any:
        """The memory of new targets: pixels [B, V, M, 3, S, S] uint8, boxes [B, V, 4] cxcywh in crop units -> a tree
        with leading dimension B."""

    def search(self, memory: Any, pixels: Tensor, prior: Tensor) -> Answer:
        """One forward pass over the search regions. pixels: [B, V, M, 3, S, S] uint8; prior: [B, V, 2] the last width
        and height in crop units."""
        return self.decide(memory, self.predict(memory, pixels), pixels, prior)

    @abstractmethod
    def predict(self, memory: Any, pixels: Tensor) -> Any:
        """What the network computes from the search regions, as `search` has them: a tree with leading dimension B.
        TEST has no part in it, so that methods of one network can share a forward pass."""

    @abstractmethod
    def decide(self, memory: Any, prediction: Any, pixels: Tensor, prior: Tensor) -> Answer:
        """The answers by the rules of TEST; prediction: from `predict`, for these targets."""

    def target_masks(self, prediction: Any) -> Tensor | None:
        """The target's pixels in the first view, [B, S, S] in [0, 1], from methods that are asked for masks; else
        None. prediction: from `predict`."""
        return None

    def recall(self, target: Target, views: list[View], frame: Frame) -> Any:
        """The memory that `predict` and `decide` get for a target whose search regions are `views`: that of its state,
        with what else they need to know about this frame."""
        return target.state.memory

    def absorb(self, target: Target, views: list[View], frame: Frame, pixels: Tensor) -> Any:
        """The memory of a target after it has learned from its first views, or from `update_views`; only with
        `absorbs`. pixels: [1, V, M, 3, S, S] uint8."""
        raise NotImplementedError

    def calibrate(self, settings: Any, answer: TargetAnswer, given: np.ndarray) -> Any:
        """`CropState.settings` after a search in the first frame. given: [2] width and height of the given box in crop
        units."""
        return settings

    def update_target(self, target: Target, view: View, answer: TargetAnswer, frame: tuple[int, int]) -> Target:
        """The target after an answer; frame: height and width. Where the answer is not finite, the box stays."""
        if np.isfinite(answer.box).all() and np.isfinite(answer.score):
            size = self.adjust_size(answer.box[2:], view.prior, target.state.settings)
            box = self.clip(self.to_frame(view, np.concatenate([answer.box[:2], size])), frame)
            found = answer.found and answer.score > 0
            target = replace(target, box=box, score=answer.score, found=found, age=target.age + 1)
        else:
            if target.score > 0:
                log.warning("%s: the network's answer is not finite; the target stays where it was", target.name)
            target = replace(target, box=view.around, score=0.0, found=False, age=target.age + 1)
        return self.prepare_next(target, frame)

    def to_frame(self, view: View, box: np.ndarray) -> np.ndarray:
        """An answer's box in the frame: [4] cxcywh in crop units -> [4] xywh pixels."""
        return view.to_frame(box)

    def adjust_size(self, size: np.ndarray, prior: np.ndarray, settings: Any) -> np.ndarray:
        """The width and height to use for an answer's: [2] in crop units; prior: [2] the last ones."""
        return size

    @abstractmethod
    def clip(self, box: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """The box (xywh, pixels) clipped to a frame of this height and width."""

    def prepare_next(self, target: Target, frame: tuple[int, int]) -> Target:
        """The target with its settings for the next frame; may also change whether it counts as found."""
        return target

    def correct(self, target: Target, box: np.ndarray) -> Target:
        """The target with another box (xywh, pixels). What was learned stays."""
        return replace(target, box=np.array(box, np.float64))

    def update_views(self, target: Target, frame: Frame) -> list[View]:
        """The views for a template update in the frame where the target was just found; empty: no update."""
        return []

    def merge_memory(self, memory: Any, fresh: Any) -> Any:
        """The memory after a template update. fresh: the memory that `begin` makes from the update's views."""
        return memory

    def variant(self, memory: Any) -> str:
        """The name of a cheaper method that gives the targets of this memory the same answers; "" for none. Asked where
        graphs stand in for the network, since a graph always computes the whole."""
        return ""

    def make_variant(self, name: str) -> "Method":
        """The method that `variant` names."""
        raise NotImplementedError

    def further_searches(self) -> dict[str, "Method"]:
        """Methods of this network whose search graphs are exported beside this one's: name of the graph -> method."""
        return {}

    def graph_settings(self) -> dict[str, Any]:
        """What a program needs to cut crops for the exported graphs; the graphs do all other steps.

        Raises InputError where the network cannot be exported as graphs.
        """
        raise InputError(f"{type(self.network).__name__}: cannot be exported as graphs")


class OneView(Method):
    """What methods with one view per target share."""

    def images(self, pixels: Tensor) -> Tensor:
        """The network's input: [B, 1, M, 3, S, S] uint8 -> [B, M, 3, S, S] normalised, in the network's precision."""
        return self.network.normalize(pixels[:, 0]).to(self.network.dtype)

    def predict(self, memory: Any, pixels: Tensor) -> Any:
        """The network's output."""
        return self.network(memory, self.images(pixels))

    @staticmethod
    def answer(boxes: Tensor, scores: Tensor, memory: Any, prediction: Any) -> Answer:
        """An answer for the only view; every target counts as found."""
        found = torch.ones_like(scores, dtype=torch.bool)
        return Answer(boxes, scores, found, torch.zeros_like(scores, dtype=torch.int64), memory, prediction)
