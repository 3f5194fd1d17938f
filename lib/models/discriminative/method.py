"""How ATOM and the DiMP family track: a filter of each target finds it, IoU-Net refines its box, the filter learns.

B targets, N samples of a target, K boxes, n' cells on each side of a score map, S side of a crop in pixels. Boxes
inside are xywh in pixels of the crop, as IoU-Net takes them.
"""

import zlib
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ...core import tree
from ...core.boxes import cxcywh_to_xywh, xywh_to_cxcywh
from ...core.errors import InputError
from ...core.frame import Frame, Streams
from ...core.sample_view import REPEAT, place_sample
from ...core.target import Target
from ...core.tree import Owned
from ...core.upload import upload
from ...core.view import View
from ...layers.filters.box_optimizer import BoxSteps, climb, jitter_boxes, mean_of_best
from ...layers.filters.first_samples import FirstSamples
from ...layers.filters.localization import HARD_NEGATIVE, NOT_FOUND, UNCERTAIN, LocalizationRules, Localized
from ...layers.filters.target_filter import apply_filter
from ..method import Answer, OneView, TargetAnswer
from ..sample_memory import SampleMemory
from .parts import STRIDE, Learner, Memory, Prediction, Seen

if TYPE_CHECKING:
    from .network import DiMP, Discriminative

EXPANSION = 2  # side of the image that first samples are cut from, over theirs
_LEAST_SCORE = 1e-6  # of a target that was found


class DiscriminativeMethod(OneView):
    """What the family shares. A kind of filter is a subclass."""

    needs_gradients = True
    compilable = "predict"
    absorbs = True
    network: "Discriminative"

    def __init__(self, network: "Discriminative", test: EasyDict):
        """Raises InputError for a memory that does not hold the samples of the first frame."""
        super().__init__(network, test)
        self.search_size, self.factor = test.SEARCH_SIZE, test.SEARCH_FACTOR
        self.template_size = EXPANSION * self.search_size
        self.border, self.shrinking, self.stream = test.BORDER, test.MOST_SHRINKING, test.STREAM
        first, rules = test.FIRST, test.LOCALIZE
        self.first = FirstSamples(
            self.search_size, first.SHIFTS, first.FLIP, first.BLURS, first.ROTATIONS, first.RANDOM_SHIFT
        )
        self.dropouts, self.dropout, self.first_steps = first.DROPOUTS, first.DROPOUT, first.STEPS
        self.rules = LocalizationRules(
            rules.FOUND, rules.DISTRACTOR, rules.HARD, rules.NEIGHBOURHOOD, rules.DISPLACEMENT
        )
        self.inside: float = rules.INSIDE
        self.memory, self.learning, self.box = test.MEMORY, test.LEARN, test.BOX
        self.steps = BoxSteps(self.box.STEPS, self.box.STEP, self.box.RELATIVE)
        count = 1 + len(first.SHIFTS) + self.first.draws + self.dropouts
        if count > self.memory.SIZE:
            size = self.memory.SIZE
            raise InputError(f"TEST.MEMORY.SIZE: {size} is below the {count} samples of TEST.FIRST; raise it")

    @property
    def streams(self) -> Streams:
        """The images of TEST.STREAM."""
        return super().streams._replace(single=self.stream)

    def initial_settings(self, frame: Frame, box: np.ndarray) -> None:
        """Nothing."""

    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """Twice the search region, which samples are cut from."""
        side = EXPANSION * self.search_sides(target)[0]
        return [place_sample(target.box, side, self.template_size, frame.size, border=REPEAT, rounded=True)]

    def views(self, target: Target, frame: Frame) -> list[View]:
        """A square of side SEARCH_FACTOR * sqrt(w h)."""
        side, size = self.search_sides(target)
        return [place_sample(target.box, side, size, frame.size, border=self.border, shrinking=self.shrinking)]

    def search_sides(self, target: Target) -> tuple[float, int]:
        """As `views`."""
        return float(np.sqrt(target.box[2] * target.box[3])) * self.factor, self.search_size

    def begin(self, pixels: Tensor, boxes: Tensor) -> Memory:
        """As `absorb`, of targets without names."""
        return tree.join([self._start(*own, "") for own in zip(self.images(pixels)[:, 0], boxes[:, 0], strict=True)])

    def absorb(self, target: Target, views: list[View], frame: Frame, pixels: Tensor) -> Memory:
        """A filter from the samples of the first frame, and IoU-Net's modulation from its unchanged image. Random
        numbers are those of the target's name."""
        box = xywh_to_cxcywh(torch.from_numpy(views[0].to_crop(target.box))).float()
        return self._start(self.images(pixels)[0, 0], box.to(pixels.device), target.name)

    def recall(self, target: Target, views: list[View], frame: Frame) -> Memory:
        """With the target's place in a search region that it need not be in the middle of."""
        memory: Memory = target.state.memory
        place = xywh_to_cxcywh(views[0].to_crop(target.box))[None, :2]
        return memory._replace(last=upload(place.astype(np.float32), memory.modulation.fine.device))

    def _start(self, image: Tensor, box: Tensor, name: str) -> Memory:
        """image [3, E, E] normalised, box [4] cxcywh in units of it"""
        seed = zlib.crc32(name.encode())
        random = np.random.default_rng(seed)
        images, moves = self.first(image, torch.from_numpy(random.random((self.first.draws, 2), np.float32)))
        margin = (image.shape[-1] - self.search_size + 1) // 2
        own = cxcywh_to_xywh(box) * image.shape[-1] - box.new_tensor([margin, margin, 0, 0])
        shift = torch.cat([moves.flip(1), torch.zeros_like(moves)], dim=1).to(box)
        sample_boxes = own + torch.cat([shift, shift[:1].expand(self.dropouts, -1)])
        maps = self.network.extract(images)
        features = self.network.features(maps)
        kept = torch.from_numpy(random.random((self.dropouts, features.shape[1], 1, 1), np.float32)) >= self.dropout
        features = torch.cat([features, features[:1] * (kept.to(features) / (1 - self.dropout))])
        filters, samples = self.first_filters(features, sample_boxes, random)
        modulation = self.network.iou_net.modulate(maps.fine[:1], maps.coarse[:1], sample_boxes[:1])
        kept_samples = SampleMemory((samples, sample_boxes), self.memory.SIZE, self.memory.FIRST_SHARE)
        return Memory(filters, modulation, Owned(Learner(kept_samples, seed)))

    @abstractmethod
    def first_filters(self, features: Tensor, boxes: Tensor, random: np.random.Generator) -> tuple[Any, Tensor]:
        """The filters of a new target, a tree [1, ...], and the samples to be kept, [N, ...]: features [N, C, H, W],
        boxes [N, 4]"""

    @abstractmethod
    def score(self, filters: Any, features: Tensor) -> Tensor:
        """[B, ...] and [B, C, H, W] -> score maps [B, n', n'], as LocalizationRules takes them"""

    @abstractmethod
    def make_sample(self, filters: Any, features: Tensor) -> Tensor:
        """What is kept of a target's features: [1, ...] and [1, C, H, W] -> [1, ...]"""

    @abstractmethod
    def improve(self, filters: Any, samples: SampleMemory, steps: int) -> Any:
        """The filters of one target after some steps of the optimiser: a tree [1, ...] -> the same"""

    def predict(self, memory: Memory, pixels: Tensor) -> Seen:
        """What the network computes from the search regions."""
        return self.network.see(self.network.extract(self.images(pixels)[:, 0]))

    def decide(self, memory: Memory, prediction: Seen, pixels: Tensor, prior: Tensor) -> Answer:
        """The place of the best cell, the mean of the best boxes there, and the memory after the frame."""
        seen, size = prediction, prior[:, 0, :2]
        last = torch.full_like(size, 0.5) if memory.last is None else memory.last
        scores = self.score(memory.filters, seen.features)
        cells = pixels.shape[-1] // STRIDE
        found = self.locate(scores, size, last, cells)
        lost = (found.flag == NOT_FOUND)[:, None]
        boxes = torch.cat([torch.where(lost, last, found.place), size], dim=1)
        if self.box.KIND == "iou_net":
            boxes = torch.where(lost, boxes, self.refine(memory, seen, boxes, pixels.shape[-1]))
        broken = ~(boxes.isfinite().all(1) & found.score.isfinite())
        flags = found.flag.masked_fill(broken, NOT_FOUND).tolist()  # such a sample would spoil the filter for good
        memory = self.learn(memory, seen.features, cxcywh_to_xywh(boxes) * pixels.shape[-1], flags)
        shown = Prediction(scores, seen, size)
        place = torch.zeros_like(found.flag)
        return Answer(boxes, found.score.clamp(_LEAST_SCORE, 1), ~lost[:, 0], place, memory, shown)

    def locate(self, scores: Tensor, size: Tensor, last: Tensor, cells: int) -> Localized:
        """Where the targets are, by TEST.LOCALIZE; see LocalizationRules."""
        return self.rules(self.network.likelihood(scores), size, last, cells)

    def refine(self, memory: Memory, seen: Seen, boxes: Tensor, side: int) -> Tensor:
        """Boxes [B, 4] cxcywh in crop units after the refinement by IoU-Net; side: S."""
        network, rules = self.network.iou_net, self.box
        noise = torch.stack([learner.draw(rules.RANDOM, 4) for learner in memory.learner.items]) - 0.5
        start = jitter_boxes(
            cxcywh_to_xywh(boxes) * side, upload(noise, boxes.device), rules.JITTER_POSITION, rules.JITTER_SIZE
        )
        better, scores = climb(lambda free: network(memory.modulation, seen.iou, free), start, self.steps)
        best, any_left = mean_of_best(better, scores, rules.BEST, rules.ASPECT)
        # As in the published code: boxes go in by the edges of pixels, and come out as IoU-Net's training counts them,
        # from the middle of the first pixel.
        refined = xywh_to_cxcywh(best)
        refined = torch.cat([refined[:, :2] + 0.5, refined[:, 2:]], dim=1) / side
        return torch.where(any_left[:, None], refined, boxes)

    def learn(self, memory: Memory, features: Tensor, boxes: Tensor, flags: list[int]) -> Memory:
        """The memory after a frame: features [B, C, H, W], boxes [B, 4]. Samples are kept where the target is certain;
        filters change at the intervals of TEST.LEARN."""
        changed: dict[int, Any] = {}
        for k, (learner, flag) in enumerate(zip(memory.learner.items, flags, strict=True)):
            learner.age += 1
            if flag in (NOT_FOUND, UNCERTAIN):
                continue
            hard = flag == HARD_NEGATIVE
            filters = tree.part(memory.filters, k)
            sample = self.make_sample(filters, features[k : k + 1])
            learner.samples.add((sample, boxes[k : k + 1]), self.memory.HARD_RATE if hard else self.memory.RATE)
            due = self.learning.STEPS if learner.age % self.learning.INTERVAL == 0 else 0
            if steps := self.learning.HARD_STEPS if hard else due:
                changed[k] = self.improve(filters, learner.samples, steps)
        if not changed:
            return memory
        parts = [changed[k] if k in changed else tree.part(memory.filters, k) for k in range(len(flags))]
        return memory._replace(filters=tree.join(parts))

    def update_target(self, target: Target, view: View, answer: TargetAnswer, frame: tuple[int, int]) -> Target:
        """As in other methods; a target that is not found stays exactly where it was."""
        moved = super().update_target(target, view, answer, frame)
        return moved if moved.found else replace(moved, box=view.around)

    def clip(self, box: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """A share of the box, LOCALIZE.INSIDE of its width and height, stays inside the frame; it is not larger than
        the frame."""
        whole = np.array(frame[::-1], np.float64)
        size = np.clip(box[2:], 1, whole)
        reach = (0.5 - self.inside) * size
        middle = np.clip(box[:2] + box[2:] / 2, -reach, whole + reach)
        return np.concatenate([middle - size / 2, size])


class DiMPMethod(DiscriminativeMethod):
    """DiMP, SuperDiMP and PrDiMP: the network's own classifier learns the filter."""

    network: "DiMP"

    def first_filters(self, features: Tensor, boxes: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The classifier's first filter after FIRST.STEPS."""
        return self.network.classifier.learn(features[None], boxes[None], self.first_steps)[-1], features

    def score(self, filters: Tensor, features: Tensor) -> Tensor:
        """The correlation."""
        return apply_filter(features[:, None], filters)[:, 0]

    def make_sample(self, filters: Tensor, features: Tensor) -> Tensor:
        """The features."""
        return features

    def improve(self, filters: Tensor, samples: SampleMemory, steps: int) -> Tensor:
        """As the classifier's optimiser."""
        (features, boxes), weights = samples.used()
        optimizer = self.network.classifier.filter_optimizer
        return optimizer(filters, features, boxes, weights, iterations=steps).filters[-1]
