"""ATOM: IoU-Net that is modulated by the target, beside a classifier that is learned online alone (CVPR 2019).

B targets, C channels, n cells on each side of a map, S side of a crop in pixels.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from easydict import EasyDict
from torch import Tensor

from ...core.boxes import cxcywh_to_xywh
from ...layers.filters.response import normalize_power
from ..base import ScoreMap
from ..frame_set import FrameSetBatch
from ..method import Method
from .atom_method import AtomMethod
from .network import Discriminative
from .parts import STRIDE, Embedded, Maps, Prediction
from .training import FrozenLayers, box_losses


class Atom(Discriminative):
    """ATOM's network. Only IoU-Net is trained; the backbone keeps its ImageNet weights."""

    method_class: ClassVar[type[Method]] = AtomMethod
    marks: Sequence[str] = ("iou_net.",)

    def __init__(self, cfg: EasyDict):
        super().__init__(cfg, FrozenLayers.EVERY)

    def features(self, maps: Maps) -> Tensor:
        """As Discriminative: the backbone's own, scaled."""
        return normalize_power(maps.coarse)

    def embed(self, template: Tensor, box: Tensor | None = None) -> Embedded:
        """template [B, 1, 3, S, S] normalised; box [B, 4] cxcywh in units of the template"""
        maps, boxes = self.extract(template[:, 0]), self.target_box(template, box)
        return Embedded(None, self.iou_net.modulate(*maps, boxes), boxes[:, 2:] / template.shape[-1])

    def forward(self, memory: Embedded, search: Tensor) -> Prediction:
        """Embedded and search [B, 1, 3, S, S] normalised -> Prediction, whose scores [B, n, n] are the IoU of boxes as
        large as in the template at the centres of the cells"""
        seen, side = self.see(self.extract(search[:, 0])), search.shape[-1]
        cells = seen.features.shape[-1]
        axis = (torch.arange(cells, device=search.device) + 0.5) * STRIDE
        middle = torch.stack(torch.meshgrid(axis, axis, indexing="ij")[::-1], -1).flatten(0, 1)
        size = (memory.size * side)[:, None].expand(-1, len(middle), -1)
        boxes = cxcywh_to_xywh(torch.cat([middle.expand(len(size), -1, -1).to(size), size], -1))
        scores = self.iou_net(memory.modulation, seen.iou, boxes)
        return Prediction(scores.unflatten(1, (cells, cells)), seen, memory.size)

    def score_map(self, prediction: Prediction) -> ScoreMap:
        """Of the network alone, the IoU of each cell's box; of tracking, the classifier's interpolated scores."""
        count = prediction.scores.shape[-1]
        alone = count == prediction.seen.features.shape[-1]
        return ScoreMap(self.show(prediction.scores.float()), 0.5 / count if alone else 0.0, 1 / count)

    def step(self, batch: FrameSetBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss of the boxes."""
        train, test = self.extract(batch.train), self.extract(batch.test)
        box, iou = box_losses(self.iou_net, train, test, batch)
        return {"box": self.box_weight * box}, {"iou": iou}
