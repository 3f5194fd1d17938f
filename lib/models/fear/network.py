"""FEAR: a light Siamese tracker with pixel-wise correlation (Borsuk et al., ECCV 2022).

B targets, C channels, k template cells and n search cells on each side, S side of the search region in pixels.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor, nn

from ...core.boxes import xywh_to_cxcywh
from ...core.errors import InputError
from ...layers.normalize import Normalize
from ...layers.siamese.fear_head import FearHead
from ...layers.trunks.fbnet import FBNetTrunk
from ..base import Network, PairBatch, ScoreMap
from ..method import Method
from ..siamese.network import gather_rows
from .method import STRIDE, FearMethod, boxes_from_distances, cell_points
from .training import FearTraining

CHANNELS = 256  # of the published head
TEMPLATE_SIZE = 128  # of the published head
_IDENTITY_NORM = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0, "num_batches_tracked": 0}


class Memory(NamedTuple):
    """What FEAR keeps about a target."""

    features: Tensor  # [B, C, k, k] of the template


class Fear(Network):
    """FEAR's network: one image."""

    modalities = 1
    training_crops = "stretched"
    backbone_key = "MODEL.BACKBONE.WIDTH"
    marks: Sequence[str] = ("head.cls_mix.",)
    method_class: ClassVar[type[Method]] = FearMethod

    def __init__(self, cfg: EasyDict):
        super().__init__()
        self.normalize = Normalize(cfg.DATA.MEAN, cfg.DATA.STD, self.modalities)
        backbone, channels = cfg.MODEL.BACKBONE, cfg.MODEL.HEAD.NUM_CHANNELS
        self.backbone = FBNetTrunk(channels, backbone.WIDTH, norm=backbone.BATCH_NORM)
        self.head = FearHead(channels, (cfg.DATA.TEMPLATE.SIZE // STRIDE) ** 2)
        self.training_rules = FearTraining.from_config(cfg, self.backbone.stages)

    def embed(self, template: Tensor, box: Tensor | None = None) -> Any:
        """template [B, 1, 3, 128, 128] -> Memory; `box` is not used: the target is in the middle"""
        return Memory(self.backbone(template[:, 0]))

    def forward(self, memory: Any, search: Tensor) -> Any:
        """Memory and search [B, 1, 3, S, S] -> FearMaps"""
        return self.head(memory.features, self.backbone(search[:, 0]))

    def read(self, prediction: Any) -> Tensor:
        """The box of the most probable cell."""
        best = prediction.logits.flatten(1).argmax(1)
        return gather_rows(boxes_from_distances(prediction.distances.float()).flatten(2).mT, best)

    def score_map(self, prediction: Any) -> ScoreMap:
        """The probability of each cell."""
        points = cell_points(prediction.logits.shape[-1], torch.device("cpu"))
        return ScoreMap(prediction.logits.float().sigmoid(), float(points[0]), float(points[1] - points[0]))

    def step(self, batch: PairBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Classification and box losses; see FearTraining."""
        maps = self(self.embed(batch.template), batch.search)
        boxes = boxes_from_distances(maps.distances.float())
        return self.training_rules(maps.logits.float(), boxes, xywh_to_cxcywh(batch.search_box), batch.positive)

    def set_epoch(self, epoch: int) -> None:
        """Sets which stages of the trunk learn in this epoch."""
        self.backbone.learn_last(self.training_rules.learning_stages(epoch))

    @classmethod
    def rename(cls, key: str) -> str:
        """The name that a key of the published file has here."""
        module, _, kind = key.rpartition(".")
        return f"{published_names()[module]}.{kind}" if module in published_names() else key

    def adopt(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The published weights under this network's names. BatchNorm layers that the published file does not have
        become the identity. Raises InputError for a factor of the image that does not fit DATA.STD."""
        named = {self.rename(key): value.float() for key, value in weights.items() if key != "scale"}
        if "scale" in weights:
            std: Tensor = self.normalize.get_buffer("std")[0].flatten().cpu()
            factor = weights["scale"].float() * 255 * std
            if (factor - 1).abs().max() > 0.01:
                raise InputError("DATA.STD: differs from the published weights' by more than a hundredth")
            named["backbone.stem.0.weight"] = named["backbone.stem.0.weight"] * factor[:, None, None]
            named |= self._identity_norms()
        return named

    def _identity_norms(self) -> dict[str, Tensor]:
        norms = {name: part for name, part in self.named_modules() if isinstance(part, nn.BatchNorm2d)}
        found = {}
        for name, norm in norms.items():
            for key, value in norm.state_dict().items():
                found[f"{name}.{key}"] = torch.full_like(value, _IDENTITY_NORM[key])
            found[f"{name}.running_var"] -= norm.eps
        return found


@functools.cache
def published_names() -> dict[str, str]:
    """Names of the convolutions in the published file -> names in `Fear`. The file numbers them in order."""
    with torch.device("meta"):
        parts = {"backbone": FBNetTrunk(CHANNELS), "head": FearHead(CHANNELS, (TEMPLATE_SIZE // STRIDE) ** 2)}
    names = [
        f"{prefix}.{name}"
        for prefix, part in parts.items()
        for name, module in part.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    return {f"conv{number:02d}": name for number, name in enumerate(names)}
