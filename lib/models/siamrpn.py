"""SiamRPN: Siamese features, anchors, one correlation (Li et al., CVPR 2018); the networks that DaSiamRPN released.

B targets, C channels of the trunk, A anchors, n score cells on each side, N = A n^2, S side of the search region.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor

from ..core.boxes import xywh_to_cxcywh
from ..core.errors import InputError
from ..layers.anchors import anchor_boxes, anchor_shapes, decode
from ..layers.siamese_heads import UPChannelRPN
from ..layers.trunks import AlexNetTrunk
from .base import PairBatch
from .siamese import TEMPLATE_SIZE, Proposals, SiameseTracker, from_crop_units, hann_window, to_crop_units
from .siamrpn_names import adopt, export, rename
from .siamrpn_training import AnchorTraining

STRIDE = AlexNetTrunk.STRIDE
_OUTSIDE = 7  # score cells between the map and the border of the search region


class Kernels(NamedTuple):
    """What is kept of a target: the kernels that its template makes."""

    cls: Tensor  # [B, 2 A, C, 4, 4]
    loc: Tensor  # [B, 4 A, C, 4, 4]


class Prediction(NamedTuple):
    """What the head says about a search region."""

    logits: Tensor  # [B, 2, A, n, n] background, target
    deltas: Tensor  # [B, 4, A, n, n] changes of the anchors


class SiamRPN(SiameseTracker):
    """The plain tracker."""

    marks = ("rpn_head.",)
    anchor_shapes: Tensor

    def __init__(self, cfg: EasyDict):
        """Raises InputError for search regions that do not fit the trunk's stride."""
        super().__init__(cfg)
        for key, size in (
            ("DATA.SEARCH.SIZE", cfg.DATA.SEARCH.SIZE),
            ("TEST.SEARCH_SIZE", cfg.TEST.SEARCH_SIZE),
            ("TEST.SMALL_TARGET_SIZE", cfg.TEST.SMALL_TARGET_SIZE),
        ):
            check_size(key, size)
        self.backbone = AlexNetTrunk(cfg.MODEL.BACKBONE.WIDTH)
        shapes = anchor_shapes(cfg.MODEL.ANCHOR.RATIOS, cfg.MODEL.ANCHOR.SCALES, STRIDE)
        self.register_buffer("anchor_shapes", shapes, persistent=False)
        self.rpn_head = UPChannelRPN(self.backbone.channels, len(shapes), cfg.MODEL.CORR_SCALE)
        self.training_rules = AnchorTraining.from_config(cfg)

    def embed(self, template: Tensor, box: Tensor | None = None) -> Kernels:
        """template [B, 1, 3, 127, 127] -> Kernels; the target is in the middle, whatever `box` says"""
        return Kernels(*self.rpn_head.make_kernels(self.backbone(template[:, 0])))

    def forward(self, memory: Kernels, search: Tensor) -> Prediction:
        """search [B, 1, 3, S, S], S = 127 + 8 (n - 1) -> Prediction"""
        return Prediction(*self.rpn_head(self.backbone(search[:, 0]), memory.cls, memory.loc))

    def renew(self, memory: Any, fresh: Any) -> Any:
        """Kernels between the old and the new template's, as those of features between the two would be."""
        share = self.update.SHARE
        return memory._replace(cls=memory.cls.lerp(fresh.cls, share), loc=memory.loc.lerp(fresh.loc, share))

    def decode(self, prediction: Prediction, prior: Tensor) -> tuple[Tensor, Tensor]:
        """The proposal with the highest rank, its size smoothed."""
        size = region_size(prediction)
        prior = prior * size
        proposals = self.propose(prediction, prior)
        box, score = self.choice.settle(proposals, proposals.ranks.argmax(1), prior)
        return to_crop_units(box, size), score

    def propose(self, prediction: Prediction, prior: Tensor, window_influence: float | None = None) -> Proposals:
        """Every anchor's box, judged; prior: [B, 2] pixels; window_influence: another than the tracker's."""
        grid = prediction.logits.shape[-1]
        boxes = self.read_boxes(prediction).flatten(2).mT
        scores = target_probability(prediction).flatten(1)
        window = hann_window(grid, boxes.device).flatten().repeat(len(self.anchor_shapes))
        return self.choice.judge(boxes, scores, window, prior, window_influence)

    def read_boxes(self, prediction: Prediction) -> Tensor:
        """[B, 4, A, n, n] cxcywh, pixels relative to the region's centre"""
        return decode(prediction.deltas.float(), self.anchors(prediction))

    def anchors(self, prediction: Prediction) -> Tensor:
        """[4, A, n, n] cxcywh, pixels relative to the region's centre"""
        return anchor_boxes(self.anchor_shapes, prediction.logits.shape[-1], STRIDE)

    def score_map(self, prediction: Prediction) -> Tensor:
        """The best anchor's probability in each cell: [B, n + 14, n + 14], 0 where the head does not look."""
        best = target_probability(prediction).amax(1)
        return torch.nn.functional.pad(best, [_OUTSIDE] * 4)

    def step(self, batch: PairBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Classification of the drawn anchors and distance of the positive ones' boxes; see AnchorTraining."""
        prediction = self(self.embed(batch.template), batch.search)
        size = batch.search.shape[-1]
        boxes = from_crop_units(xywh_to_cxcywh(batch.search_box), size)
        others = None if batch.others is None else from_crop_units(xywh_to_cxcywh(batch.others), size)
        truth = batch._replace(search_box=boxes, others=others)
        return self.training_rules(self.anchors(prediction), prediction, truth)

    def set_epoch(self, epoch: int) -> None:
        """Which stages of the trunk learn from this epoch on."""
        self.backbone.learn_last(self.training_rules.learning_stages(epoch))

    @classmethod
    def rename(cls, key: str) -> str:
        """Of any public naming."""
        return rename(key)

    def adopt(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of any public naming under this network's names and at its `corr_scale`."""
        return adopt(weights, self.state_dict())

    def publish(self, naming: str) -> dict[str, Tensor]:
        """Weights for the original release or pysot, which know no `corr_scale`."""
        return export(self.state_dict(), naming)


def region_size(prediction: Any) -> int:
    """Side of the search region that a prediction is about, pixels."""
    return TEMPLATE_SIZE + STRIDE * (prediction.logits.shape[-1] - 1)


def target_probability(prediction: Prediction) -> Tensor:
    """[B, A, n, n]"""
    return prediction.logits.float().softmax(1)[:, 1]


def check_size(key: str, size: int) -> None:
    """Raises InputError, which names the key, where a search region is not 127 pixels and a multiple of 8 more."""
    if size <= TEMPLATE_SIZE or (size - TEMPLATE_SIZE) % STRIDE:
        near = TEMPLATE_SIZE + STRIDE * max(1, round((size - TEMPLATE_SIZE) / STRIDE))
        raise InputError(f"{key}: {size} is not {TEMPLATE_SIZE} plus a multiple of {STRIDE}; give {near}, for example")
