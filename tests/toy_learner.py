"""A tracker that learns while it tracks, as ATOM and DiMP do: weights of each target learned by gradients, a sample
memory of 10 MB for each target, two views a frame. The registry's tests run it like every other one.

B targets, V views, C channels, n cells on each side of a feature map.
"""

from typing import NamedTuple

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor, nn

from lib.core.boxes import clip_box, cxcywh_to_xyxy, generalized_iou, xywh_to_cxcywh
from lib.core.tree import Owned
from lib.core.view import MARGIN, place_square
from lib.models.base import Network, ScoreMap
from lib.models.method import Answer, Method

CHANNELS, STRIDE, SIZE, SAMPLES = 32, 4, 160, 50  # 50 maps of 32 x 40 x 40 floats are 10.2 MB
CONFIG = EasyDict(
    MODEL={"NAME": "toy_learner", "PRETRAIN_FILE": ""},
    DATA={"TEMPLATE": {"SIZE": SIZE}, "SEARCH": {"SIZE": SIZE}, "MEAN": [0.5] * 6, "STD": [0.5] * 6},
    TEST={"SEARCH_SIZE": SIZE, "FACTORS": [3.0, 5.0], "STEPS": 2, "RATE": 0.5},
)


class Filter(NamedTuple):
    """What the network makes of a template."""

    weights: Tensor  # [B, C]


class Prediction(NamedTuple):
    """What the network says about a search region."""

    score: Tensor  # [B, n, n]
    boxes: Tensor  # [B, 4]


class Samples:
    """The maps that one target's weights are learned from: changed in place, never copied."""

    def __init__(self) -> None:
        n = SIZE // STRIDE
        self.maps = torch.zeros(SAMPLES, CHANNELS, n, n)
        self.labels = torch.zeros(SAMPLES, n, n)
        self.count = 0

    def add(self, features: Tensor, centre: Tensor) -> None:
        """features [C, n, n]; centre [2] x y in crop units"""
        place = self.count % SAMPLES
        self.maps[place] = features
        axis = (torch.arange(features.shape[-1]) + 0.5) / features.shape[-1]
        self.labels[place] = torch.outer(*(torch.exp(-80 * (axis - value) ** 2) for value in centre.flip(0)))
        self.count += 1

    def learn(self, weights: Tensor, steps: int, rate: float) -> Tensor:
        """[C] -> [C]: a few steps of gradient descent on the samples."""
        used = slice(0, min(self.count, SAMPLES))
        with torch.enable_grad():
            for _ in range(steps):
                free = weights.detach().requires_grad_()
                scores = torch.einsum("schw,c->shw", self.maps[used], free)
                (gradient,) = torch.autograd.grad((scores - self.labels[used]).square().mean(), free)
                weights = free - rate * gradient
        return weights.detach()


class Memory(NamedTuple):
    """What is kept of a target."""

    weights: Tensor  # [B, C]
    samples: Owned  # B times Samples


class ToyMethod(Method):
    """The best cell of two views of different width."""

    needs_gradients = True
    compilable = "predict"
    template_size = search_size = SIZE

    def __init__(self, network, test):
        super().__init__(network, test)
        self.factors, self.steps, self.rate = test.FACTORS, test.STEPS, test.RATE

    def initial_settings(self, frame, box):
        return None

    def first_views(self, target, frame):
        return [place_square(target.box, self.factors[0], SIZE, frame.size)]

    def views(self, target, frame):
        return [place_square(target.box, factor, SIZE, frame.size) for factor in self.factors]

    def search_sides(self, target):
        return float(np.sqrt(target.box[2] * target.box[3])) * self.factors[0], SIZE

    def maps(self, pixels):
        """[B, V, M, 3, S, S] uint8 -> [B, V, C, n, n]"""
        images = self.network.normalize(pixels.flatten(0, 1)).to(self.network.dtype)
        return self.network.features(images).float().unflatten(0, pixels.shape[:2])

    def begin(self, pixels, boxes):
        features, samples, weights = self.maps(pixels)[:, 0], [], []
        for own, (box, *_) in zip(features, boxes, strict=True):
            samples.append(Samples())
            samples[-1].add(own, box[:2])
            weights.append(samples[-1].learn(torch.zeros(CHANNELS), 5 * self.steps, self.rate))
        return Memory(torch.stack(weights), Owned(*samples))

    def predict(self, memory, pixels):
        return self.maps(pixels)

    def decide(self, memory, features, pixels, prior):
        scores = torch.einsum("bvchw,bc->bvhw", features, memory.weights)
        best, cell = scores.flatten(2).max(2)
        score, view = best.max(1)
        rows, n = torch.arange(len(scores)), scores.shape[-1]
        place = cell[rows, view]
        centre = torch.stack([place % n, place.div(n, rounding_mode="floor")], 1).add(0.5) / n
        boxes = torch.cat([centre, prior[rows, view]], 1)
        learned = []
        for samples, own, spot, weights in zip(
            memory.samples.items, features[rows, view], centre, memory.weights, strict=True
        ):
            samples.add(own, spot)
            learned.append(samples.learn(weights, self.steps, self.rate))
        found = score > 0
        prediction = Prediction(scores[:, 0].sigmoid(), boxes)
        memory = Memory(torch.stack(learned), memory.samples)
        return Answer(boxes, score.clamp(1e-3, 1), found, view, memory, prediction)

    def clip(self, box, frame):
        return clip_box(box, *frame, margin=MARGIN)


class ToyLearner(Network):
    """One convolution for both modalities together."""

    method_class = ToyMethod
    marks = ("features_of.",)

    def __init__(self, cfg):
        super().__init__()
        self.features_of = nn.Conv2d(6, CHANNELS, 7, stride=STRIDE, padding=3)
        self.extent = nn.Parameter(torch.zeros(2))

    def normalize(self, pixels):
        return pixels.float() / 255 - 0.5

    def features(self, images):
        """[B, M, 3, S, S] -> [B, C, n, n] with a norm of 1 in each cell"""
        return nn.functional.normalize(self.features_of(images.flatten(1, 2)), dim=1)

    def embed(self, template, box=None):
        middle = template.shape[-1] // STRIDE // 2
        return Filter(self.features(template)[:, :, middle, middle])

    def forward(self, memory, search):
        score = torch.einsum("bchw,bc->bhw", self.features(search), memory.weights)
        share, n = (10 * score).flatten(1).softmax(1).view_as(score), score.shape[-1]
        axis = (torch.arange(n) + 0.5) / n
        centre = torch.stack([(share.sum(1) * axis).sum(1), (share.sum(2) * axis).sum(1)], 1)
        return Prediction(score.sigmoid(), torch.cat([centre, self.extent.sigmoid().expand(len(score), 2)], 1))

    def read(self, prediction):
        return prediction.boxes

    def score_map(self, prediction):
        return ScoreMap(prediction.score, 0.5 / prediction.score.shape[-1], 1 / prediction.score.shape[-1])

    def step(self, batch):
        prediction = self(self.embed(batch.template), batch.search)
        truth = xywh_to_cxcywh(batch.search_box)
        giou, iou = generalized_iou(cxcywh_to_xyxy(prediction.boxes), cxcywh_to_xyxy(truth))
        distance = (prediction.boxes - truth).abs().mean()
        return {"giou": (1 - giou).mean(), "l1": distance}, {"iou": iou.mean().detach()}
