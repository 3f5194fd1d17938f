"""A network without weights that finds a target by its colour: what the tracking code is tested with."""

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from lib.core.errors import InputError
from lib.datasets.sequence import INFRARED, VISIBLE, Frames, Sequence
from lib.models import build_method
from lib.models.base import Network, PairBatch
from lib.models.method import Answer
from lib.models.one_stream.method import OneStreamMethod
from lib.test.tracker.crop_tracker import CropTracker
from lib.test.tracker.forward_pass import EXACT, Mode
from lib.test.tracker.protocol import Tracker

CONFIG = EasyDict(
    TEST={"TEMPLATE_FACTOR": 2.0, "TEMPLATE_SIZE": 64, "SEARCH_FACTOR": 4.0, "SEARCH_SIZE": 256}
    | {"CALIBRATE": False, "SIZE_RATE": 1.0}
)


class FakeMemory(NamedTuple):
    colour: Tensor  # [B, 3 * M], of the middle of the template


class FakePrediction(NamedTuple):
    mask: Tensor  # [B, S, S] bool, True where the search crop has the target's colour


class FakeMethod(OneStreamMethod):
    """Crops as the OSTrack code base has them; the box is the hull of all pixels of the target's colour."""

    def begin(self, pixels: Tensor, boxes: Tensor) -> FakeMemory:
        return self.network.embed(self.images(pixels))

    def decide(self, memory: FakeMemory, prediction: FakePrediction, pixels: Tensor, prior: Tensor) -> Answer:
        assert prior.shape == (len(pixels), 1, 2)
        boxes = self.network.read(prediction)
        return self.answer(boxes, torch.full((len(boxes),), 0.9), memory, prediction)


class FakeModel(Network):
    """Answers with the hull of all pixels of the target's colour; NaN where there are none."""

    method_class = FakeMethod

    def __init__(self, modalities: int = 2, overrates: tuple[float, float] = (1.0, 1.0)):
        super().__init__()
        self.modalities = modalities
        self.overrates = torch.tensor([1.0, 1.0, *overrates])
        self.calls: list[int] = []  # batch size of every forward pass

    def normalize(self, pixels: Tensor) -> Tensor:
        assert pixels.dtype == torch.uint8 and pixels.shape[1:3] == (self.modalities, 3)
        return pixels.float() / 255

    def embed(self, template: Tensor, box: Tensor | None = None) -> FakeMemory:
        middle = template.shape[-1] // 2
        return FakeMemory(template[..., middle, middle].flatten(1))

    def forward(self, memory: FakeMemory, search: Tensor) -> FakePrediction:
        self.calls.append(len(search))
        difference = (search.flatten(1, 2) - memory.colour[..., None, None]).abs().amax(1)
        return FakePrediction(difference < 0.2)

    def read(self, prediction: FakePrediction) -> Tensor:
        return torch.stack([_hull(mask) for mask in prediction.mask]) * self.overrates

    def step(self, batch: PairBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        raise NotImplementedError("this network has nothing to learn")


def _hull(mask: Tensor) -> Tensor:
    """[S, S] -> [4] cxcywh in units of S."""
    rows, columns = torch.where(mask)
    if not len(rows):
        return torch.full((4,), torch.nan)
    corners = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / mask.shape[0]
    return torch.cat([(corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]])


@dataclass(frozen=True)
class MovingSquare(Frames):
    """A coloured rectangle that moves over a black image; `broken` is a frame that cannot be read."""

    boxes: np.ndarray  # [N, 4] integers, xywh
    colour: tuple[int, ...] = (200, 60, 30, 250, 250, 250)
    size: tuple[int, int] = (180, 240)  # height, width
    modalities: tuple[str, ...] = (VISIBLE, INFRARED)
    broken: int = -1

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        if index == self.broken:
            raise InputError(f"/data/moving/{index:06d}.png: image does not exist")
        image = np.zeros((*self.size, 3 * len(self.modalities)), np.uint8)
        x, y, w, h = self.boxes[index]
        image[max(y, 0) : y + h, max(x, 0) : x + w] = self.colour[: image.shape[2]]
        return np.split(image, len(self.modalities), axis=2)


def moving_sequence(name: str, length: int = 8, step: tuple[int, int] = (5, 3), **known: object) -> Sequence:
    """A sequence whose target moves by `step` pixels a frame."""
    boxes = np.array([[60 + step[0] * k, 50 + step[1] * k, 30, 20] for k in range(length)])
    return Sequence(name, MovingSquare(boxes, **known), boxes.astype(np.float64))


def fake_tracker(device: str = "cpu", modalities: int = 2) -> CropTracker:
    return make_tracker(FakeModel(modalities), CONFIG, device)


def make_tracker(network: Network, cfg: EasyDict = CONFIG, device: str = "cpu", mode: Mode = EXACT) -> CropTracker:
    """The tracker of a network and a configuration."""
    return CropTracker(build_method(network, cfg), device, mode)


def follow_alone(tracker: Tracker, sequence: Sequence) -> list[np.ndarray]:
    """The boxes of a sequence, one target and one frame at a time."""
    return follow_together(tracker, [sequence])[0]


def follow_together(tracker: Tracker, sequences: Many[Sequence]) -> list[list[np.ndarray]]:
    """The boxes of sequences of one length, all targets in every step."""
    firsts = [sequence.frames[0] for sequence in sequences]
    targets = tracker.start(firsts, [s.boxes[0] for s in sequences], [s.name for s in sequences])
    boxes = [[target.box] for target in targets]
    for index in range(1, len(sequences[0])):
        targets = tracker.track(targets, [sequence.frames[index] for sequence in sequences])
        for row, target in zip(boxes, targets, strict=True):
            row.append(target.box)
    return boxes
