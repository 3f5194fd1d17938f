"""IIMF's idea on a light trunk: two specific streams, a modality-shared stream that both feed, one head (after IIMF,
ACM MM 2024, on FEAR, ECCV 2022).

The specific streams are FEAR's, with its weights. What is learned is the shared stream, and which stream to believe,
where and when. Where one camera is absent, the prediction is FEAR's on the other one.
B targets, C channels, k template cells and n search cells on each side.
"""

from typing import ClassVar, NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor

from ...core.boxes import xywh_to_cxcywh
from ...core.frame import BLACK
from ...layers.siamese.stream_fusion import SharedStream, StreamGates
from ..base import PairBatch
from ..method import Method
from .iimf_lite_method import IIMFLiteMethod
from .method import boxes_from_distances
from .network import Fear

_STREAMS = 3  # visible, infrared, shared


class Memory(NamedTuple):
    """What IIMF lite keeps about a target."""

    features: Tensor  # [B, 3, C, k, k] of the template: visible, infrared and shared stream
    absent: Tensor  # [B, 2] 1 where a camera had no image in the template, else 0
    agreement: Tensor  # [B, 2] running mean of the overlap of each camera's own best box with the chosen one


class Prediction(NamedTuple):
    """IIMF lite's output for a search region."""

    logits: Tensor  # [B, n, n]
    distances: Tensor  # [B, 4, n, n] pixels
    weights: Tensor  # [B, 3, n, n] how much each stream is believed
    stream_logits: Tensor  # [B, 3, n, n] of each stream alone
    stream_distances: Tensor  # [B, 3, 4, n, n]


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
        absent = is_flat(template)
        return Memory(features, absent.to(features.dtype), torch.ones_like(absent, dtype=torch.float32))

    def forward(self, memory: Memory, search: Tensor) -> Prediction:
        """Memory and search [B, 2, 3, S, S] -> Prediction"""
        with torch.no_grad():
            visible, infrared = self.backbone(search.flatten(0, 1)).unflatten(0, (-1, 2)).unbind(1)
        features = torch.stack([visible, infrared, self.shared(visible, infrared)], dim=1)
        maps = self.head(memory.features.flatten(0, 1), features.flatten(0, 1))
        logits, distances, weights = self.gates(maps, boxes_from_distances(maps.distances.float()))
        own_logits, own_distances = (part.unflatten(0, (-1, _STREAMS)) for part in maps[:2])
        absent = self.absent(memory, search)
        for stream in range(2):
            other = absent[:, 1 - stream, None, None]
            logits = torch.where(other, own_logits[:, stream].to(logits.dtype), logits)
            distances = torch.where(other[:, None], own_distances[:, stream].to(distances.dtype), distances)
        return Prediction(logits, distances, weights, own_logits, own_distances)

    def search_alone(self, memory: Memory, search: Tensor, camera: int) -> Prediction:
        """As `forward` where only this camera (0 or 1) had an image in all templates; what is about the other streams
        is zero."""
        maps = self.head(memory.features[:, camera], self.backbone(search[:, camera]))

        def among(part: Tensor) -> Tensor:
            return torch.stack([part if stream == camera else torch.zeros_like(part) for stream in range(_STREAMS)], 1)

        weights = among(torch.ones_like(maps.logits))
        return Prediction(maps.logits, maps.distances, weights, among(maps.logits), among(maps.distances))

    @staticmethod
    def absent(memory: Memory, search: Tensor) -> Tensor:
        """Which camera shows nothing: search [B, 2, 3, S, S] -> [B, 2] bool. A camera whose template alone exists
        counts as showing something, whatever it shows."""
        missing = memory.absent > 0
        return missing | (is_flat(search) & ~missing.flip(1))

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
