"""How RT-MDNet tracks: 256 candidates around the last box, the mean of the best five, box regression (ECCV 2018).

B targets (always 1: scenes differ in size), N candidates, D features of a box, S side of a crop. Boxes are xywh, pixels
of the frame, unless said otherwise.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ...core.boxes import clip_box, xywh_to_cxcywh
from ...core.errors import InputError
from ...core.frame import Frame, Streams
from ...core.target import Target
from ...core.tree import Owned
from ...core.upload import upload
from ...core.view import View
from ...layers.trunks.mdnet import score_boxes
from ..method import Answer, Method, TargetAnswer
from .box_regression import regress_boxes
from .mdnet_boxes import Spread, draw_boxes, name_number, seeded
from .mdnet_scene import Scene, place_scene, read_boxes, scene_around
from .rt_mdnet_learning import Learning

if TYPE_CHECKING:
    from .rt_mdnet import RTMDNet

MARGIN = 1  # pixels of width and height of every box that stay inside the frame
_CANDIDATES, _BRANCH, _SHORT = range(3)  # purposes of random draws; others are in Learning


class Settings(NamedTuple):
    """What the method keeps about a target besides its memory."""

    box: np.ndarray  # [4] the mean of the best candidates, which the next ones are drawn around


class Place(NamedTuple):
    """What a pass needs to know about the target's frame."""

    candidates: Tensor  # [B, N, 4]
    scene: Tensor  # [B, 4]
    scale: Tensor  # [B, 2] crop pixels per frame pixel in x and y
    corner: Tensor  # [B, 2] first column and row of the view
    frame: Tensor  # [B, 2] int64 height and width
    draw: Tensor  # [B, 2] int64 number of the target's name, age of the target


class Memory(NamedTuple):
    """What RT-MDNet keeps about a target."""

    learner: Owned  # B times Learner
    place: Place | None = None  # of the frame that is searched
    chosen: Tensor | None = None  # [B, 4] the mean of its best candidates


class Candidates(NamedTuple):
    """What the network says about the candidates."""

    features: Tensor  # [B, N, D]
    scores: Tensor  # [B, N, 2] background, target


class RTMDNetMethod(Method):
    """The mean of the best candidates, made more precise by box regression where the target is found."""

    batched = False
    needs_gradients = True
    compilable = ""
    updates_template = True
    absorbs = True
    search_grid = (
        "TEST.SHIFT=0.4,0.6,0.8", "TEST.SCALE=1.03,1.05,1.08", "TEST.UPDATE.LR=0.0001,0.0003,0.001",
    )  # fmt: skip
    network: "RTMDNet"

    def __init__(self, network: "RTMDNet", test: EasyDict):
        super().__init__(network, test)
        self.template_size = self.search_size = test.TARGET_SIZE
        self.test, self.learning = test, Learning(network, test)

    @property
    def streams(self) -> Streams:
        """The stream of TEST.STREAM."""
        return super().streams._replace(single=self.test.STREAM)

    def initial_settings(self, frame: Frame, box: np.ndarray) -> Settings:
        """Candidates are drawn around the given box."""
        return Settings(np.array(box, np.float64))

    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """All scenes of the first frame, at the frame's own scale."""
        return [self.learning.plan_first(target, frame.size).view]

    def views(self, target: Target, frame: Frame) -> list[View]:
        """The scene of all candidates, at the frame's own scale."""
        candidates = self.draw_candidates(target, frame.size)
        return [place_scene([self._scene(target, candidates)], target.state.settings.box, frame.size)]

    def search_sides(self, target: Target) -> tuple[float, int]:
        """The shorter side of the scene of a target whose candidates are spread as far as they can be."""
        side = target.box[2:].min() * (1 + 2 * self.test.SHIFT)
        return float(side), self.test.TARGET_SIZE

    def recall(self, target: Target, views: list[View], frame: Frame) -> Memory:
        """With the candidates, and where they lie in the view."""
        candidates = self.draw_candidates(target, frame.size)
        scene, device = self._scene(target, candidates), self.network.device
        known = (candidates, scene.box, scene.scale, views[0].corner)
        boxes, box, scale, corner = (upload(np.array([part], np.float32), device) for part in known)
        draw = torch.tensor([[name_number(target.name), target.age]])
        place = Place(boxes, box, scale, corner, torch.tensor([frame.size]), draw)
        return Memory(target.state.memory.learner, place)

    def begin(self, pixels: Tensor, boxes: Tensor) -> Memory:
        """Raises InputError: the classifier is learned from scenes of the first frame, by `absorb`."""
        raise InputError("RTMDNet: has no pass without a target in a frame; measure it with: rgbt benchmark track")

    def absorb(self, target: Target, views: list[View], frame: Frame, pixels: Tensor) -> Memory:
        """Learns from the first frame, or collects the samples of a frame in which the target was found; every
        UPDATE.INTERVAL frames it learns from all samples."""
        if target.age == 0:
            generator = torch.Generator().manual_seed(
                int(seeded(self.test.SEED, name_number(target.name), 0, _BRANCH).integers(2**63))
            )
            weights = self.network.first_weights(generator)
            return Memory(Owned(self.learning.learn_first(weights, target, frame.size, pixels[0, 0, 0])))
        (learner,) = target.state.memory.learner.items
        self.learning.collect(learner, target, frame.size, pixels[0, 0, 0])
        return target.state.memory

    def predict(self, memory: Memory, pixels: Tensor) -> Candidates:
        """Features and scores of all candidates."""
        place, (learner,) = memory.place, memory.learner.items
        assert place is not None
        scene = Scene(place.scene[0], place.scale[0])
        features = read_boxes(
            self.network, pixels[0, 0, 0], place.corner[0], scene, place.candidates[0], self.test.PADDING
        )
        return Candidates(features[None], score_boxes(learner.weights, features)[None])

    def decide(self, memory: Memory, prediction: Candidates, pixels: Tensor, prior: Tensor) -> Answer:
        """The mean of the best candidates. Where their mean score is too low, the target is lost, and the learner
        learns from the last UPDATE.SHORT frames."""
        place, test = memory.place, self.test
        assert place is not None
        best = prediction.scores[0, :, 1].topk(min(test.BEST, prediction.scores.shape[1]))
        score, boxes = best.values.mean(), place.candidates[0, best.indices]
        chosen = boxes.mean(0)
        box, found = chosen, bool(score > test.SUCCESS)
        (learner,) = memory.learner.items
        if not found:
            number, age = place.draw[0].tolist()
            self.learning.learn_short(learner, seeded(test.SEED, number, age + 1, _SHORT))
        elif test.REGRESS and learner.regressor is not None:
            height, width = place.frame[0].tolist()
            features = prediction.features[0, best.indices]
            box = regress_boxes(learner.regressor, features, boxes, (height, width)).mean(0)
        extent = torch.tensor([pixels.shape[-1], pixels.shape[-2]], device=box.device)
        units = xywh_to_cxcywh(torch.cat([box[:2] - place.corner[0], box[2:]])) / extent.repeat(2)
        where = torch.tensor([found], device=box.device)
        probability = (score - test.SUCCESS).sigmoid()[None]
        view = torch.zeros(1, dtype=torch.int64, device=box.device)
        return Answer(units[None], probability, where, view, Memory(memory.learner, None, chosen[None]), prediction)

    def update_target(self, target: Target, view: View, answer: TargetAnswer, frame: tuple[int, int]) -> Target:
        """As in other methods. The next candidates are drawn around the mean of the best ones, which box regression
        does not change."""
        moved, (memory, settings) = super().update_target(target, view, answer, frame), target.state
        chosen = memory.chosen[0].double().cpu().numpy()
        if np.isfinite(answer.box).all() and np.isfinite(answer.score):
            settings = Settings(chosen)
        else:
            moved = replace(moved, box=target.box)
        return replace(moved, state=moved.state._replace(memory=Memory(memory.learner), settings=settings))

    def update_views(self, target: Target, frame: Frame) -> list[View]:
        """The scene of the samples around a target that was found."""
        plan = self.learning.plan_update(target, frame.size) if target.found else None
        return [] if plan is None else [plan.view]

    def correct(self, target: Target, box: np.ndarray) -> Target:
        """The next candidates are drawn around the other box."""
        moved = super().correct(target, box)
        return replace(moved, state=moved.state._replace(settings=Settings(moved.box)))

    def clip(self, box: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """MARGIN of the box stays inside the frame."""
        return clip_box(box, *frame, margin=MARGIN)

    def draw_candidates(self, target: Target, frame: tuple[int, int]) -> np.ndarray:
        """[N, 4] around the last box, farther after a frame in which the target was lost. frame: height and width."""
        test = self.test
        spread = Spread("gaussian", test.SHIFT if target.found else test.SHIFT_LOST, test.SCALE, whole=True)
        random = seeded(test.SEED, name_number(target.name), target.age, _CANDIDATES)
        return draw_boxes(random, target.state.settings.box, test.CANDIDATES, spread, frame)

    def _scene(self, target: Target, boxes: np.ndarray) -> Scene:
        return scene_around(boxes, target.state.settings.box, self.test.TARGET_SIZE, self.test.PADDING)
