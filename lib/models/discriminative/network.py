"""Trackers that learn a filter for each target and refine its boxes by IoU-Net: ATOM (CVPR 2019), DiMP (ICCV 2019),
PrDiMP and SuperDiMP (CVPR 2020).

B targets, N images of a target, K boxes, C channels, n' cells on each side of a score map, S side of a crop in pixels.
Boxes inside the networks are xywh in pixels of their crop, where the centre of the first pixel is at 0.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from easydict import EasyDict
from torch import Tensor

from ...core.boxes import cxcywh_to_xywh
from ...layers.filters.iou_net import IoUNet
from ...layers.filters.steepest_descent import GaussNewton, Newton, SteepestDescent
from ...layers.filters.target_classifier import TargetClassifier
from ...layers.filters.target_filter import apply_filter
from ...layers.normalize import Normalize
from ...layers.trunks.imagenet_resnet import ImageNetResNet, timm_resnet
from ..base import Network, ScoreMap
from ..frame_set import FrameSetBatch
from ..method import Method
from ..weights import rename_prefix
from .method import DiMPMethod
from .parts import COARSE, FINE, STRIDE, Embedded, Maps, Prediction, Seen
from .training import FrozenLayers, ScoreTraining, box_losses


class Discriminative(Network):
    """What the family shares: a ResNet and IoU-Net."""

    modalities = 1
    samples = "frame_sets"
    backbone_key = "MODEL.BACKBONE.DEPTH"
    precise: Sequence[str] = ("classifier.*", "iou_net.*")
    dropped_keys: Sequence[str] = ("backbone.layer4.*", "backbone.fc.*")
    #: Prefix in public files -> prefix here.
    renamed: ClassVar[dict[str, str]] = {"feature_extractor.": "backbone.", "bb_regressor.": "iou_net."}

    def __init__(self, cfg: EasyDict, frozen: int):
        """frozen: layers of the backbone, as FrozenLayers counts them."""
        super().__init__()
        self.normalize = Normalize(cfg.DATA.MEAN, cfg.DATA.STD, self.modalities)
        self.backbone = ImageNetResNet(cfg.MODEL.BACKBONE.DEPTH, last=3, width=cfg.MODEL.BACKBONE.WIDTH)
        self.frozen = FrozenLayers(self.backbone, frozen)
        channels = self.backbone.channels
        self.iou_net = IoUNet(channels[FINE], channels[COARSE], cfg.MODEL.IOU_NET.CHANNELS)
        self.box_weight: float = cfg.TRAIN.BOX_WEIGHT
        self.template_factor: float = cfg.DATA.SEARCH.FACTOR

    def train(self, mode: bool = True) -> "Discriminative":
        """Training mode, only for the layers that learn."""
        super().train(mode)
        self.frozen.keep()
        return self

    def extract(self, images: Tensor) -> Maps:
        """[..., 3, S, S] normalised -> Maps"""
        maps = self.backbone(images.flatten(0, -4))
        return Maps(*(maps[name].float().unflatten(0, images.shape[:-3]) for name in (FINE, COARSE)))

    def features(self, maps: Maps) -> Tensor:
        """The classifier's features: [..., C', n, n] -> [..., C, n, n]"""
        raise NotImplementedError

    def see(self, maps: Maps) -> Seen:
        """The backbone's maps [B, ...] of search regions -> Seen"""
        return Seen(self.features(maps), self.iou_net.embed(*maps))

    def target_box(self, template: Tensor, box: Tensor | None) -> Tensor:
        """The target's box in its template [B, ..., S, S]: [B, 4] cxcywh in crop units; None: in the middle of a crop
        of DATA.SEARCH.FACTOR -> [B, 4] xywh in pixels"""
        if box is None:
            side = 1 / self.template_factor
            box = template.new_tensor([0.5, 0.5, side, side]).expand(len(template), 4)
        return cxcywh_to_xywh(box.float()) * template.shape[-1]

    def timm_weights(self, cfg: EasyDict) -> dict[str, Tensor]:
        """torchvision's ResNet of MODEL.BACKBONE.DEPTH, from timm."""
        return {f"backbone.{key}": value for key, value in timm_resnet(cfg.MODEL.BACKBONE.DEPTH).items()}

    @classmethod
    def rename(cls, key: str) -> str:
        """The name that a key of a public file has here."""
        return rename_prefix(key, cls.renamed)

    def read(self, prediction: Any) -> Tensor:
        """The best cell, and the target's size in its template."""
        shown = self.score_map(prediction)
        best, count = shown.scores.flatten(1).argmax(1), shown.scores.shape[-1]
        place = torch.stack([best % count, best.div(count, rounding_mode="floor")], dim=1)
        return torch.cat([shown.first + shown.step * place, prediction.size], dim=1)

    def score_map(self, prediction: Any) -> ScoreMap:
        """The scores, which are about 1 at the target. Those of cells on the crop's edge are left out."""
        step, count = 1 / prediction.seen.features.shape[-1], prediction.scores.shape[-1]
        first = 0.5 - step * (count - 1) / 2
        inside = slice(0, count) if first > 0 else slice(1, count - 1)
        return ScoreMap(self.show(prediction.scores.float())[:, inside, inside], first + step * inside.start, step)

    def likelihood(self, scores: Tensor) -> Tensor:
        """Scores as tracking judges them: [..., n', n'] -> same shape"""
        return scores

    def show(self, scores: Tensor) -> Tensor:
        """Scores for drawing, in [0, 1]: [..., n', n'] -> same shape"""
        return scores.clamp(0, 1)


class DiMP(Discriminative):
    """DiMP and SuperDiMP, with the Gauss-Newton optimiser."""

    method_class: ClassVar[type[Method]] = DiMPMethod

    marks: Sequence[str] = ("classifier.filter_optimizer.log_step_length", ".label_map_predictor.", "iou_net.")

    def __init__(self, cfg: EasyDict):
        super().__init__(cfg, cfg.TRAIN.FROZEN_LAYERS)
        rules = cfg.MODEL.CLASSIFIER
        self.classifier = TargetClassifier(
            self.backbone.channels[COARSE], rules.CHANNELS, rules.FILTER_SIZE, self.build_optimizer(rules),
            blocks=rules.BLOCKS,
        )  # fmt: skip
        self.iterations: int = rules.ITERATIONS
        self.score_training = ScoreTraining.from_config(cfg)
        self.head_rate: float = cfg.TRAIN.HEAD_MULTIPLIER
        self.optimizer_rate: float = cfg.TRAIN.OPTIMIZER_MULTIPLIER

    def build_optimizer(self, rules: EasyDict) -> SteepestDescent:
        """The optimiser of MODEL.CLASSIFIER."""
        return GaussNewton(
            stride=STRIDE, step=rules.STEP, regularization=rules.REGULARIZATION, sigma=rules.LABEL_SIGMA,
            bins=rules.BINS,
        )  # fmt: skip

    def features(self, maps: Maps) -> Tensor:
        """As Discriminative."""
        return self.classifier.extract(maps.coarse)

    def embed(self, template: Tensor, box: Tensor | None = None) -> Embedded:
        """template [B, 1, 3, S, S] normalised: one image to learn from; box [B, 4] cxcywh in units of the template"""
        maps = self.extract(template)
        boxes = self.target_box(template, box)
        course = self.classifier.learn(self.features(maps), boxes[:, None], self.iterations)
        modulation = self.iou_net.modulate(maps.fine[:, 0], maps.coarse[:, 0], boxes)
        return Embedded(course[-1], modulation, boxes[:, 2:] / template.shape[-1])

    def forward(self, memory: Embedded, search: Tensor) -> Prediction:
        """Embedded and search [B, 1, 3, S, S] normalised -> Prediction"""
        seen = self.see(self.extract(search[:, 0]))
        assert memory.filters is not None
        return Prediction(apply_filter(seen.features[:, None], memory.filters)[:, 0], seen, memory.size)

    def fresh_factor(self, name: str) -> float:
        """The classifier's own rates."""
        if name.startswith("classifier.filter_optimizer."):
            return self.optimizer_rate
        return self.head_rate if name.startswith("classifier.") else 1.0

    def step(self, batch: FrameSetBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses of the filters and of the boxes."""
        train, test = self.extract(batch.train), self.extract(batch.test)
        course = self.classifier.learn(self.features(train), batch.train_boxes, self.iterations)
        features = self.features(test)
        scores = [apply_filter(features, filters) for filters in course]
        losses, figures = self.score_training(scores, batch.test_boxes, self.classifier)
        box, iou = box_losses(self.iou_net, train, test, batch)
        return losses | {"box": self.box_weight * box}, figures | {"iou": iou}


class PrDiMP(DiMP):
    """PrDiMP: scores whose softmax is the density of the target's place, with Newton's method."""

    marks: Sequence[str] = ("classifier.filter_optimizer.log_step_length", "iou_net.")

    def build_optimizer(self, rules: EasyDict) -> SteepestDescent:
        """The optimiser of MODEL.CLASSIFIER."""
        return Newton(
            stride=STRIDE, step=rules.STEP, regularization=rules.REGULARIZATION, sigma=rules.LABEL_SIGMA,
            damping=rules.DAMPING, least_regularization=rules.LEAST_REGULARIZATION,
        )  # fmt: skip

    def likelihood(self, scores: Tensor) -> Tensor:
        """The softmax over the cells."""
        return scores.flatten(-2).softmax(-1).view_as(scores)

    def show(self, scores: Tensor) -> Tensor:
        """The share of each cell, relative to the best one."""
        return (scores - scores.amax((-2, -1), keepdim=True)).exp()
