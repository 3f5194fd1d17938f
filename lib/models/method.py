"""How a network tracks: where it looks, what it believes, what it learns. B targets, V views a target, M modalities.

A method is built from a network and the TEST part of a configuration. It costs next to nothing: many may share one
network. It keeps nothing about any target either; that is in `Target.state`.
"""

import logging
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ..core.errors import InputError
from ..core.frame import Frame
from ..core.target import Target
from ..core.view import View
from .base import Network

log = logging.getLogger(__name__)


class CropState(NamedTuple):
    """`Target.state` of everything that is tracked by crops."""

    memory: Any  # what the network knows of the target: a tree (lib.core.tree), leading dimension 1
    settings: Any = None  # what the method keeps besides, as `Method.open` and `update_target` return it


class Answer(NamedTuple):
    """What a forward pass says about the targets' next frame."""

    boxes: Tensor  # [B, 4] cxcywh in crop units of the chosen view
    scores: Tensor  # [B]
    found: Tensor  # [B] bool
    view: Tensor  # [B] int64, which of the target's views
    memory: Any  # after the frame; the same object where nothing was learned
    prediction: Any  # the network's own, for pictures


class TargetAnswer(NamedTuple):
    """An answer about one target."""

    box: np.ndarray  # [4] float64, cxcywh in crop units
    score: float
    found: bool


class Method(ABC):
    """Rules of tracking around a network. Views of one target and frame have one size."""

    batched: bool = True  # whether a pass may hold several targets
    needs_gradients: bool = False  # whether `begin` and `search` learn by gradients (inside torch.enable_grad)
    updates_template: bool = False  # whether `update_views` may ask for views
    calibrates: bool = False  # whether a new target is looked for in its first frame, for `calibrate`
    template_size: int  # side of a template, pixels
    search_size: int  # side of a usual search region, pixels

    def __init__(self, network: Network, test: EasyDict):
        """test: TEST of a resolved configuration. Raises InputError for values that contradict each other."""
        self.network = network

    @property
    def modalities(self) -> int:
        """How many images of a frame are looked at."""
        return self.network.modalities

    @abstractmethod
    def initial_settings(self, frame: Frame, box: np.ndarray) -> Any:
        """What is kept of a new target besides its memory: `CropState.settings`. box: [4] xywh, pixels."""

    @abstractmethod
    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """What a new target is learned from. Raises InputError when its box does not show in the frame."""

    @abstractmethod
    def views(self, target: Target, frame: Frame) -> list[View]:
        """Where a target is looked for in its next frame. Raises InputError when its box left the frame, which a frame
        that is smaller than the one before can do; it is then asked again for the box that `clip` gives."""

    @abstractmethod
    def search_sides(self, target: Target) -> tuple[float, int]:
        """Side of the target's next search region, before it is rounded, in frame pixels and in pixels of the network's
        input: says how much smaller a frame may be decoded."""

    @abstractmethod
    def begin(self, pixels: Tensor, boxes: Tensor) -> Any:
        """The memory of new targets: pixels [B, V, M, 3, S, S] uint8, boxes [B, V, 4] cxcywh in crop units -> a tree
        with leading dimension B."""

    @abstractmethod
    def search(self, memory: Any, pixels: Tensor, prior: Tensor) -> Answer:
        """One forward pass. pixels: [B, V, M, 3, S, S] uint8; prior: [B, V, 2] the last size in crop units."""

    def calibrate(self, settings: Any, answer: TargetAnswer, given: np.ndarray) -> Any:
        """`CropState.settings` after the first frame was looked at. given: [2] the first box's size in crop units."""
        return settings

    def update_target(self, target: Target, view: View, answer: TargetAnswer, frame: tuple[int, int]) -> Target:
        """The target after an answer; frame: height and width. An answer that is not finite leaves it where it was."""
        if np.isfinite(answer.box).all() and np.isfinite(answer.score):
            size = self.adjust_size(answer.box[2:], view.prior, target.state.settings)
            box = self.clip(view.to_frame(np.concatenate([answer.box[:2], size])), frame)
            found = answer.found and answer.score > 0
            target = replace(target, box=box, score=answer.score, found=found, age=target.age + 1)
        else:
            if target.score > 0:
                log.warning("%s: the network's answer is not finite; the target stays where it was", target.name)
            target = replace(target, box=view.around, score=0.0, found=False, age=target.age + 1)
        return self.prepare_next(target, frame)

    def adjust_size(self, size: np.ndarray, prior: np.ndarray, settings: Any) -> np.ndarray:
        """The size that is taken from an answer: [2] in crop units; prior: [2] the last one."""
        return size

    @abstractmethod
    def clip(self, box: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """The box (xywh, pixels) kept at a frame of this height and width."""

    def prepare_next(self, target: Target, frame: tuple[int, int]) -> Target:
        """The target with the settings of its next frame, and whether it counts as found."""
        return target

    def correct(self, target: Target, box: np.ndarray) -> Target:
        """The target at another box (xywh, pixels): what was learned stays."""
        return replace(target, box=np.array(box, np.float64))

    def update_views(self, target: Target, frame: Frame) -> list[View]:
        """What a target is to be learned anew from in the frame where it was just found; none: nothing."""
        return []

    def merge_memory(self, memory: Any, fresh: Any) -> Any:
        """A memory that knows the fresh views. fresh: what `begin` makes of them."""
        return memory

    def graph_settings(self) -> dict[str, Any]:
        """What a program needs to know to cut crops for exported graphs, which hold all else of tracking.

        Raises InputError where the network fits no graph.
        """
        raise InputError(f"{type(self.network).__name__}: cannot be exported as graphs")


class OneView(Method):
    """What methods with one view a target share."""

    def images(self, pixels: Tensor) -> Tensor:
        """What the network takes: [B, 1, M, 3, S, S] uint8 -> [B, M, 3, S, S] normalised, in its precision."""
        return self.network.normalize(pixels[:, 0]).to(self.network.dtype)

    @staticmethod
    def answer(boxes: Tensor, scores: Tensor, memory: Any, prediction: Any) -> Answer:
        """An answer in the only view, in which every target is found."""
        found = torch.ones_like(scores, dtype=torch.bool)
        return Answer(boxes, scores, found, torch.zeros_like(scores, dtype=torch.int64), memory, prediction)
