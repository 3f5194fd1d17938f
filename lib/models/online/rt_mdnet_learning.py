"""When and from what RT-MDNet learns: the first frame, a lost target, regular updates (ECCV 2018; MDNet, CVPR 2016).

K boxes, D features of a box. Boxes are xywh, pixels of the frame.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ...core.target import Target
from ...core.view import View
from ...layers.trunks.mdnet import HeadWeights
from .mdnet_boxes import Spread, draw_examples, name_number, seeded
from .mdnet_learner import Batches, Learner, LearningRates
from .mdnet_scene import Scene, place_scene, read_boxes, scene_around

if TYPE_CHECKING:
    from .rt_mdnet import RTMDNet

#: How MDNet's published code draws examples; the paper of RT-MDNet changes only what TEST has keys for.
POSITIVE = Spread("gaussian", 0.1, 1.2)
NEGATIVE = Spread("uniform", 1.0, 2.0, 1.1)
NEGATIVE_LATER = Spread("uniform", 1.5, 1.2)
REGRESSION = Spread("uniform", 0.3, 1.5, 1.1)
ON_TARGET, BESIDE, BESIDE_LATER = (0.7, 1.0), (0.0, 0.5), (0.0, 0.3)  # IoU with the target
NEAR, AREA = (0.6, 1.0), (1.0, 2.0)  # of examples for box regression: IoU, and area relative to the target's
JITTER = 4.0  # pixels of the frame by which scenes are shifted
ZOOM = 1.1  # scenes are enlarged by powers of this
_FIRST, _FIT, _SAMPLES, _LONG = range(10, 14)  # purposes of random draws


class Plan(NamedTuple):
    """The examples of a frame and where they are seen."""

    positive: np.ndarray  # [K, 4]
    negative: np.ndarray  # [K, 4]
    near: np.ndarray  # [K, 4] for box regression
    scenes: list[Scene]
    view: View
    size: tuple[int, int]  # width and height of the crop of every scene


class Learning:
    """The rules of TEST.FIRST and TEST.UPDATE."""

    def __init__(self, network: "RTMDNet", test: EasyDict):
        self.network, self.test = network, test
        self.first = LearningRates(test.FIRST.ITERATIONS, test.FIRST.LR, test.BRANCH_RATE)
        self.update = LearningRates(test.UPDATE.ITERATIONS, test.UPDATE.LR, test.BRANCH_RATE)
        self.batches = Batches(test.BATCH.POSITIVE, test.BATCH.NEGATIVE, test.BATCH.CANDIDATES)

    def plan_first(self, target: Target, frame: tuple[int, int]) -> Plan:
        """The examples of the first frame (height and width `frame`), and their scenes: as it is, shifted by JITTER to
        either side, at four scales, and FIRST.EXTRA_SCENES at random. All are shown in crops of the same size."""
        test, box, random = self.test, target.box, self._random(target, _FIRST)
        positive = draw_examples(random, box, test.FIRST.POSITIVE, POSITIVE, frame, overlaps=ON_TARGET)
        negative = draw_examples(random, box, test.FIRST.NEGATIVE, NEGATIVE, frame, overlaps=BESIDE)
        near = draw_examples(random, box, test.FIRST.REGRESSION, REGRESSION, frame, overlaps=NEAR, areas=AREA)
        every = np.concatenate([positive, negative, near, box[None].astype(np.float32)])
        plain = scene_around(every, box, test.TARGET_SIZE, test.PADDING)
        changes = [(0.0, 0.0, 0.0), (-JITTER, 0.0, 0.0), (0.0, -JITTER, 0.0), *((0.0, 0.0, k) for k in (-2, -1, 1, 2))]
        for _ in range(test.FIRST.EXTRA_SCENES):
            shift, zoom = np.clip(2 * random.standard_normal(2), -JITTER, JITTER), np.clip(random.normal(), -2, 2)
            changes.append((*shift, zoom))
        scenes = [_moved(plain, change[:2], ZOOM ** change[2]) for change in changes]
        return Plan(positive, negative, near, scenes, place_scene(scenes, box, frame), plain.size)

    def plan_update(self, target: Target, frame: tuple[int, int]) -> Plan | None:
        """The samples around a target that was found; None where there is no room beside it."""
        test, box, random = self.test, target.state.settings.box, self._random(target, _SAMPLES)
        positive = draw_examples(random, box, test.UPDATE.POSITIVE, POSITIVE, frame, overlaps=ON_TARGET)
        negative = draw_examples(random, box, test.UPDATE.NEGATIVE, NEGATIVE_LATER, frame, overlaps=BESIDE_LATER)
        if not len(positive) or not len(negative):
            return None
        scene = scene_around(np.concatenate([positive, negative]), box, test.TARGET_SIZE, test.PADDING)
        return Plan(positive, negative, negative[:0], [scene], place_scene([scene], box, frame), scene.size)

    def learn_first(self, weights: HeadWeights, target: Target, frame: tuple[int, int], pixels: Tensor) -> Learner:
        """A learner that has learned from the first frame. pixels: [3, H, W] uint8, the plan's view."""
        plan, test, random = self.plan_first(target, frame), self.test, self._random(target, _FIT)
        learner = Learner(weights, (test.UPDATE.LONG, test.UPDATE.SHORT))
        if test.REGRESS:
            near = self._features(plan, 0, plan.near, pixels)
            truth = torch.tensor(target.box, dtype=torch.float32, device=pixels.device)
            boxes = torch.from_numpy(plan.near).to(pixels.device)
            learner.fit_boxes(near, boxes, truth, test.RIDGE_ALPHA)
        shares = [
            np.array_split(random.permutation(boxes), len(plan.scenes)) for boxes in (plan.positive, plan.negative)
        ]
        positive, negative = [], []
        for number, (on, beside) in enumerate(zip(*shares, strict=True)):
            seen = self._features(plan, number, np.concatenate([on, beside]), pixels)
            positive.append(seen[: len(on)])
            negative.append(seen[len(on) :])
        good, bad = torch.cat(positive), torch.cat(negative)
        learner.learn(good, bad, self.first, self.batches, random)
        kept = [
            part[torch.from_numpy(random.permutation(len(part))[:count])]
            for part, count in ((good, test.UPDATE.POSITIVE), (bad, test.UPDATE.NEGATIVE))
        ]
        learner.add(*kept)
        return learner

    def collect(self, learner: Learner, target: Target, frame: tuple[int, int], pixels: Tensor) -> None:
        """Keep the samples of a frame; every UPDATE.INTERVAL frames learn from all that are kept. pixels: [3, H, W]
        uint8, the view of `plan_update`."""
        plan = self.plan_update(target, frame)
        assert plan is not None
        seen = self._features(plan, 0, np.concatenate([plan.positive, plan.negative]), pixels)
        learner.add(seen[: len(plan.positive)], seen[len(plan.positive) :])
        if target.age % self.test.UPDATE.INTERVAL == 0:
            random = self._random(target, _LONG)
            learner.learn_kept(self.test.UPDATE.LONG, self.update, self.batches, random)

    def learn_short(self, learner: Learner, random: np.random.Generator) -> None:
        """Learn from the last UPDATE.SHORT frames in which the target was found."""
        learner.learn_kept(self.test.UPDATE.SHORT, self.update, self.batches, random)

    def _features(self, plan: Plan, scene: int, boxes: np.ndarray, pixels: Tensor) -> Tensor:
        given = torch.from_numpy(boxes).to(pixels.device)
        corner = torch.tensor(plan.view.corner, dtype=torch.float32, device=pixels.device)
        return read_boxes(self.network, pixels, corner, plan.scenes[scene], given, self.test.PADDING, plan.size)

    def _random(self, target: Target, purpose: int) -> np.random.Generator:
        return seeded(self.test.SEED, name_number(target.name), target.age, purpose)


def _moved(scene: Scene, shift: tuple[float, float], zoom: float) -> Scene:
    """A scene shifted by pixels of the frame and enlarged about its middle, which shows everything smaller."""
    size = scene.box[2:] * zoom
    corner = scene.box[:2] + np.array(shift) + (scene.box[2:] - size) / 2
    return Scene(np.concatenate([corner, size]), scene.scale / zoom)
