"""How ECO tracks: five scales around the last place, the highest response of two filters, samples of every frame
(Danelljan et al., CVPR 2017; PyTracking's version).

B targets, V scales, C channels, D compressed channels, N x K frequencies, S side of a crop in pixels.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ...core import tree
from ...core.errors import InputError
from ...core.frame import Frame, Streams
from ...core.sample_view import place_sample
from ...core.target import Target
from ...core.tree import Owned
from ...core.upload import upload
from ...core.view import View
from ...layers.filters.first_samples import FirstSamples
from ...layers.filters.fourier import add_series, sample, shift
from ...layers.trunks.eco_features import STRIDES
from ..method import Answer, Method, TargetAnswer
from .eco_learner import Block, BlockRules, Learner, Seen, first_block

if TYPE_CHECKING:
    from .eco import ECO

EXPANSION = 2  # side of the image that first samples are cut from, over theirs
SMALLEST = 10  # pixels: the target's width and height do not become smaller
_LEAST_SCORE = 1e-6  # every target counts as found


class Settings(NamedTuple):
    """What the method keeps about a target besides its memory."""

    size: int  # S
    base: np.ndarray  # [2] width and height of the target in a crop
    scale: float  # pixels of the frame per pixel of a crop


class Memory(NamedTuple):
    """What tracking keeps of a target."""

    shallow: Block
    deep: Block
    learner: Owned  # B times Learner


class Prediction(NamedTuple):
    """What the features and filters say about the search regions."""

    shallow: Seen
    deep: Seen
    scores: Tensor | None = None  # [B, S, S] of the scale that was chosen; a target that did not move is in the middle


class ECOMethod(Method):
    """The highest response over all scales."""

    compilable = ""
    search_grid = ("TEST.SEARCH_FACTOR=4,4.5,5", "TEST.SCALE_STEP=1.01,1.02,1.03")
    network: "ECO"

    def __init__(self, network: "ECO", test: EasyDict):
        """Raises InputError for sizes that contradict each other, and for more first samples than the memory holds."""
        super().__init__(network, test)
        self.test = test
        if test.SMALLEST_SIZE > test.LARGEST_SIZE:
            raise InputError(f"TEST.SMALLEST_SIZE: {test.SMALLEST_SIZE} is above LARGEST_SIZE {test.LARGEST_SIZE}")
        self.factors = test.SCALE_STEP ** (np.arange(test.SCALES) - (test.SCALES - 1) / 2)
        self.search_size = whole_size(test.LARGEST_SIZE)
        self.template_size = EXPANSION * self.search_size
        own = (test.CHANNELS, test.RATE, test.SIGMA, test.LEAST, test.EDGE, test.SPARSITY)
        shared = (test.COMPRESSION_PENALTY, test.KERNEL_SLOPE)
        self.rules = [BlockRules._make([*(values[k] for values in own), *shared]) for k in range(2)]
        self.learning, self.first = test.LEARN, test.FIRST
        count = 1 + len(self.first.SHIFTS) + self._first_samples(self.search_size).draws
        if count > self.learning.MEMORY:
            raise InputError(
                f"TEST.LEARN.MEMORY: {self.learning.MEMORY} is below the {count} samples of TEST.FIRST; raise it"
            )

    @property
    def streams(self) -> Streams:
        """The images of TEST.STREAM."""
        return super().streams._replace(single=self.test.STREAM)

    def initial_settings(self, frame: Frame, box: np.ndarray) -> Settings:
        """The size of the crops, which shows the target's surroundings in SMALLEST_SIZE to LARGEST_SIZE pixels."""
        side = float(np.sqrt(box[2] * box[3])) * self.test.SEARCH_FACTOR
        scale = side / min(max(side, self.test.SMALLEST_SIZE), self.test.LARGEST_SIZE)
        return Settings(whole_size(side / scale), box[2:] / scale, scale)

    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """EXPANSION times the search region, which samples are cut from."""
        side, size = self.search_sides(target)
        return [place_sample(target.box, EXPANSION * side, EXPANSION * size, frame.size, rounded=True)]

    def views(self, target: Target, frame: Frame) -> list[View]:
        """A square for each scale."""
        side, size = self.search_sides(target)
        return [place_sample(target.box, side * factor, size, frame.size, rounded=True) for factor in self.factors]

    def search_sides(self, target: Target) -> tuple[float, int]:
        """Of the middle scale."""
        settings = target.state.settings
        return settings.size * settings.scale, settings.size

    def begin(self, pixels: Tensor, boxes: Tensor) -> Memory:
        """Compression and filter of each block, from the samples of the first frame."""
        images = self.network.normalize(pixels[:, 0])[:, 0]
        return tree.join([self._begin(image, box) for image, box in zip(images, boxes[:, 0], strict=True)])

    def _begin(self, image: Tensor, box: Tensor) -> Memory:
        """image [3, E, E] normalised, box [4] cxcywh in units of it"""
        size = image.shape[-1] // EXPANSION
        samples = self._first_samples(size)
        images, moves = samples(image, torch.zeros(samples.draws, 2))
        maps = self.network(None, images[:, None])
        target = (float(box[3]) * image.shape[-1], float(box[2]) * image.shape[-1])
        beside = (box[:2].flip(0) - 0.5) * image.shape[-1]
        offsets = (moves.to(beside) + beside) * (2 * torch.pi / size)
        steps, iterations = self.first.STEPS, self.first.ITERATIONS
        made = [
            first_block(part, offsets, rules, (size, target), (steps, iterations), self.learning.MEMORY)
            for part, rules in zip(maps, self.rules, strict=True)
        ]
        (shallow, first), (deep, second) = made
        return Memory(shallow, deep, Owned(Learner((first, second))))

    def predict(self, memory: Memory, pixels: Tensor) -> Prediction:
        """The compressed samples of all scales, and the filters' responses to them."""
        maps = self.network(None, self.network.normalize(pixels.flatten(0, 1)))
        shallow, deep = (
            rules.see(block, part.unflatten(0, pixels.shape[:2]))
            for rules, block, part in zip(self.rules, (memory.shallow, memory.deep), maps, strict=True)
        )
        return Prediction(shallow, deep)

    def decide(self, memory: Memory, prediction: Prediction, pixels: Tensor, prior: Tensor) -> Answer:
        """Place and scale of the highest response. The sample there is kept; every LEARN.INTERVAL frames the filters
        learn."""
        blocks, size = (prediction.shallow, prediction.deep), pixels.shape[-1]
        fused = add_series([weight * part.responses for weight, part in zip(self.test.FUSION, blocks, strict=True)])
        scores = sample(fused, size)
        highest, place = scores.flatten(1).max(1)
        view, cell = place.div(size**2, rounding_mode="floor"), place % size**2
        row = torch.stack([cell.div(size, rounding_mode="floor"), cell % size], dim=1)
        moved = ((row + size // 2) % size - size // 2).float() / size
        rows = torch.arange(len(view), device=view.device)
        factor = upload(self.factors.astype(np.float32), view.device)[view]
        boxes = torch.cat([0.5 + moved.flip(1), prior[rows, view, :2] * factor[:, None]], dim=1)
        middle = [shift(part.samples[rows, view], 2 * torch.pi * moved[:, None]) for part in blocks]
        memory = self._learn(memory, middle, highest.isfinite().tolist())
        shown = scores[rows, view].roll((size // 2, size // 2), (1, 2))
        found = torch.ones_like(view, dtype=torch.bool)
        score = highest.clamp(_LEAST_SCORE, 1)
        return Answer(boxes, score, found, view, memory, prediction._replace(scores=shown))

    def _learn(self, memory: Memory, samples: list[Tensor], usable: list[bool]) -> Memory:
        """The memory after a frame; samples: of each block [B, D, N, K]; usable: whether a target's are finite. Others
        would spoil its filters for good."""
        changed: dict[int, tuple[Block, ...]] = {}
        for k, learner in enumerate(memory.learner.items):
            if not usable[k]:
                learner.age += 1
                continue
            blocks = [tree.part(block, k) for block in (memory.shallow, memory.deep)]
            own = [part[k : k + 1] for part in samples]
            due = learner.add(own, self.rules, self.learning.INTERVAL)
            if due:
                changed[k] = learner.improve(blocks, own, self.rules, self.learning)
        if not changed:
            return memory
        parts = [
            changed.get(k) or (tree.part(memory.shallow, k), tree.part(memory.deep, k))
            for k in range(len(memory.learner.items))
        ]
        shallow, deep = tree.join(parts)
        return Memory(shallow, deep, memory.learner)

    def update_target(self, target: Target, view: View, answer: TargetAnswer, frame: tuple[int, int]) -> Target:
        """As in other methods. The target keeps its shape; its scale changes by the factor of the view, within what
        SMALLEST and the frame allow."""
        moved = super().update_target(target, view, answer, frame)
        if not (np.isfinite(answer.box).all() and np.isfinite(answer.score)):
            return moved
        settings = target.state.settings
        factor = self.factors[np.abs(view.extent[0] / self.search_sides(target)[0] - self.factors).argmin()]
        least, most = (SMALLEST / settings.base).max(), (np.array(frame[::-1]) / settings.base).min()
        scale = float(max(min(settings.scale * factor, most), min(least, most)))
        middle, extent = moved.box[:2] + moved.box[2:] / 2, settings.base * scale
        box = self.clip(np.concatenate([middle - extent / 2, extent]), frame)
        return replace(moved, box=box, state=moved.state._replace(settings=settings._replace(scale=scale)))

    def correct(self, target: Target, box: np.ndarray) -> Target:
        """The scale follows from the box's area; the next box has the first one's shape again."""
        moved, settings = super().correct(target, box), target.state.settings
        scale = float(np.sqrt(np.prod(moved.box[2:]) / settings.base.prod()))
        return replace(moved, state=moved.state._replace(settings=settings._replace(scale=scale)))

    def clip(self, box: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """A share of the box, TEST.INSIDE of its width and height, stays inside the frame."""
        whole, reach = np.array(frame[::-1], np.float64), (0.5 - self.test.INSIDE) * box[2:]
        middle = np.clip(box[:2] + box[2:] / 2, -reach, whole + reach)
        return np.concatenate([middle - box[2:] / 2, box[2:]])

    def _first_samples(self, size: int) -> FirstSamples:
        first = self.first
        shifts = [[2 * value / size for value in pair] for pair in first.SHIFTS]
        return FirstSamples(size, shifts, first.FLIP, first.BLURS, first.ROTATIONS, random_shift=0.0)


def whole_size(size: float) -> int:
    """The side of a crop near `size` pixels whose maps have an odd number of cells at the coarser stride."""
    stride = STRIDES[1]
    return int(size) + stride - int(size) % (2 * stride)
