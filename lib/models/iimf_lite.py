"""IIMF's idea on a light trunk: two specific streams, a modality-shared stream that both feed, one head (after IIMF,
ACM MM 2024, on FEAR, ECCV 2022).

The specific streams are FEAR's, with its weights. What is learned is the shared stream, and which stream to believe,
where and when. Where one camera is absent, the prediction is FEAR's on the other one.
B targets, C channels, k template cells and n search cells on each side.
"""

import functools
import logging
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ..core.boxes import xywh_to_cxcywh
from ..core.frame import BLACK, INFRARED, VISIBLE, Frame
from ..core.target import Target
from ..core.view import View
from ..layers.stream_fusion import SharedStream, StreamGates
from .base import PairBatch
from .fear import Fear
from .fear_method import FearMethod, boxes_from_distances
from .method import Answer, Method
from .siamese import gather_rows

log = logging.getLogger(__name__)

_CAMERAS = (VISIBLE, INFRARED)
_STREAMS = 3  # visible, infrared, shared
_FLAT_STEP = 8  # pixels between those that are looked at first to find a flat image


class Memory(NamedTuple):
    """What IIMF lite keeps about a target."""

    features: Tensor  # [B, 3, C, k, k] of the template: visible, infrared and shared stream
    absent: Tensor  # [B, 2] 1 where a camera had no image in the template, else 0


class Prediction(NamedTuple):
    """IIMF lite's output for a search region."""

    logits: Tensor  # [B, n, n]
    distances: Tensor  # [B, 4, n, n] pixels
    weights: Tensor  # [B, 3, n, n] how much each stream is believed
    stream_logits: Tensor  # [B, 3, n, n] of each stream alone
    stream_distances: Tensor  # [B, 3, 4, n, n]


class IIMFLiteMethod(FearMethod):
    """FEAR's method for two cameras. A camera without an image (every pixel equal) is left out."""

    network: "IIMFLite"

    def __init__(self, network: "IIMFLite", test: EasyDict):
        super().__init__(network, test)
        self.fusion: str = test.FUSION

    def first_views(self, target: Target, frame: Frame) -> list[View]:
        """As FEAR's."""
        return [_fill_flat(view, frame) for view in super().first_views(target, frame)]

    def views(self, target: Target, frame: Frame) -> list[View]:
        """As FEAR's. A camera that had an image in the template and fails now is named once."""
        memory = target.state.memory
        for number, image in enumerate(frame.images):
            if flat_colour(image) is not None and memory is not None and not memory.absent[0, number]:
                _say_once(f"{target.name}: the {_CAMERAS[number]} image is of one colour; it is left out while it is")
        return [_fill_flat(view, frame) for view in super().views(target, frame)]

    def decide(self, memory: Memory, prediction: Prediction, pixels: Tensor, prior: Tensor) -> Answer:
        """As FEAR's on the fused maps; with TEST.FUSION `max` the box of the specific stream with the highest rank."""
        if self.fusion == "learned":
            return super().decide(memory, prediction, pixels, prior)
        absent = self.network.absent(memory, self.images(pixels))
        maps = prediction.stream_logits, prediction.stream_distances
        own = [self.rank(maps[0][:, k], maps[1][:, k], prior[:, 0]) for k in range(2)]
        ranks = [one.ranks.masked_fill(absent[:, k, None], -1.0) for k, one in enumerate(own)]
        best = torch.cat(ranks, 1).argmax(1)
        boxes, scores = torch.cat([one.boxes for one in own], 1), torch.cat([one.scores for one in own], 1)
        return self.answer(gather_rows(boxes, best), gather_rows(scores, best), memory, prediction)

    def graph_settings(self) -> dict[str, Any]:
        """As FEAR's; the padding of an image of one colour has that colour."""
        return super().graph_settings() | {"flat_padding": "own"}

    def merge_memory(self, memory: Memory, fresh: Memory) -> Memory:
        """As FEAR's; a stream without an image in the new template keeps its features, and the shared one too."""
        missing = torch.cat([fresh.absent, fresh.absent.amax(1, keepdim=True)], 1)[:, :, None, None, None] > 0
        merged = super().merge_memory(memory, fresh)
        return memory._replace(features=torch.where(missing, memory.features, merged.features))


class IIMFLite(Fear):
    """Two cameras."""

    modalities = 2
    missing_infrared = BLACK  # absent, not a grey copy
    marks = ("head.cls_mix.", "gates.mix.")
    method_class: ClassVar[type[Method]] = IIMFLiteMethod

    def __init__(self, cfg: EasyDict):
        super().__init__(cfg)
        channels, hidden = cfg.MODEL.HEAD.NUM_CHANNELS, cfg.MODEL.FUSION.NUM_CHANNELS
        self.shared = SharedStream(channels, hidden)
        self.gates = StreamGates(channels, hidden, _STREAMS)
        self.shared_weight: float = cfg.TRAIN.SHARED_WEIGHT
        for part in (self.backbone, self.head):
            part.requires_grad_(False)

    def embed(self, template: Tensor, box: Tensor | None = None) -> Memory:
        """template [B, 2, 3, 128, 128] -> Memory; `box` is not used: the target is in the middle"""
        with torch.no_grad():
            visible, infrared = self.backbone(template.flatten(0, 1)).unflatten(0, (-1, 2)).unbind(1)
        features = torch.stack([visible, infrared, self.shared(visible, infrared)], dim=1)
        return Memory(features, is_flat(template).to(features.dtype))

    def forward(self, memory: Memory, search: Tensor) -> Prediction:
        """Memory and search [B, 2, 3, S, S] -> Prediction"""
        with torch.no_grad():
            visible, infrared = self.backbone(search.flatten(0, 1)).unflatten(0, (-1, 2)).unbind(1)
        features = torch.stack([visible, infrared, self.shared(visible, infrared)], dim=1)
        maps = self.head(memory.features.flatten(0, 1), features.flatten(0, 1))
        logits, distances, weights = self.gates(maps, boxes_from_distances(maps.distances))
        own_logits, own_distances = (part.unflatten(0, (-1, _STREAMS)) for part in maps[:2])
        absent = self.absent(memory, search)
        for stream in range(2):
            other = absent[:, 1 - stream, None, None]
            logits = torch.where(other, own_logits[:, stream].to(logits.dtype), logits)
            distances = torch.where(other[:, None], own_distances[:, stream].to(distances.dtype), distances)
        return Prediction(logits, distances, weights, own_logits, own_distances)

    @staticmethod
    def absent(memory: Memory, search: Tensor) -> Tensor:
        """Which camera shows nothing: search [B, 2, 3, S, S] -> [B, 2] bool."""
        return (memory.absent > 0) | is_flat(search)

    def step(self, batch: PairBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The losses of FEAR for the whole prediction, and for the shared stream alone."""
        found = self(self.embed(batch.template), batch.search)
        truth = xywh_to_cxcywh(batch.search_box)

        def rate(logits: Tensor, distances: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
            boxes = boxes_from_distances(distances.float())
            return self.training_rules(logits.float(), boxes, truth, batch.positive)

        losses, figures = rate(found.logits, found.distances)
        for stream, name in enumerate(("visible", "infrared", "shared")):
            own, known = rate(found.stream_logits[:, stream], found.stream_distances[:, stream])
            figures[f"iou_{name}"] = known["iou"]
            if name == "shared":
                losses |= {f"shared_{key}": self.shared_weight * loss for key, loss in own.items()}
        return losses, figures

    def set_epoch(self, epoch: int) -> None:
        """FEAR's weights never learn."""
        self.backbone.eval()

    def is_new(self, name: str, *, after_tracker: bool) -> bool:
        """What learns is new."""
        return True


def is_flat(images: Tensor) -> Tensor:
    """Whether all pixels of an image are equal: [B, M, 3, S, S] -> [B, M] bool."""
    pixels = images.flatten(3)
    return (pixels.amax(3) == pixels.amin(3)).all(2)


def flat_colour(image: np.ndarray) -> np.ndarray | None:
    """The colour of an image whose pixels are all equal; None for any other: [H, W, 3] uint8 -> [3] uint8 or None."""
    colour = image[0, 0]
    few = image[::_FLAT_STEP, ::_FLAT_STEP]
    return colour if (few == colour).all() and (image == colour).all() else None


def _fill_flat(view: View, frame: Frame) -> View:
    """The view with padding of an image's own colour where the image is flat, so that its crop is flat too."""
    colours = [flat_colour(image) for image in frame.images]
    if view.fill is None or all(colour is None for colour in colours):
        return view
    fill = np.broadcast_to(view.fill, 3 * len(colours)).copy()
    for number, colour in enumerate(colours):
        if colour is not None:
            fill[3 * number : 3 * number + 3] = colour
    return replace(view, fill=fill)


@functools.cache
def _say_once(message: str) -> None:
    log.warning(message)
