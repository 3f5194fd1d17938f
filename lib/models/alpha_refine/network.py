"""Alpha-Refine: precise boxes and masks for the boxes of any tracker (Yan et al., CVPR 2021, "Alpha-Refine: Boosting
Tracking Performance by Precise Bounding Box Estimation").

B targets, C channels of the backbone, k template cells and n search cells on each side, F fused channels, S side of the
crop in pixels. Template and search region are twice as wide and high as a box; their aspect ratio is not kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor

from ...core.boxes import cxcywh_to_xyxy, xywh_to_cxcywh, xyxy_to_xywh
from ...core.errors import InputError
from ...core.registry import choose
from ...layers.normalize import Normalize
from ...layers.refine.heads import BOX_HEADS, BoxHead, Corners
from ...layers.refine.mask import Adjustments, MaskHead
from ...layers.refine.neck import NeckLayout, RefineNeck
from ...layers.trunks.imagenet_resnet import STRIDES, ImageNetResNet, timm_resnet
from ..base import Network, PairBatch, ScoreMap
from ..method import Method
from .method import AlphaRefineMethod
from .names import check_layout, rename_public, to_public
from .training import RefineTraining

_LAYER = "layer3"  # of the backbone, which the neck reads
_STRIDE = STRIDES[_LAYER]


class Memory(NamedTuple):
    """What Alpha-Refine keeps about a target. It never changes."""

    kernel: Tensor  # [B, C, k, k] the features of the target


class Refinement(NamedTuple):
    """The network's output for a search region."""

    features: Tensor  # [B, F, n, n] fused
    corners: Tensor | None  # [B, 4] xyxy, pixels of the crop, as the head gives them; None: no box head
    logits: Tensor | None  # [B, K, n, n] of the box head's maps
    mask: Tensor | None  # [B, 1, S, S] logits; None: no mask head, or not asked for
    boxes: Tensor | None = None  # [B, 4, n, n] as `Corners.boxes`


class AlphaRefine(Network):
    """The refiner's network: one image."""

    modalities = 1
    refines = True
    training_crops = "masked"
    backbone_key = "MODEL.BACKBONE.DEPTH"
    marks: Sequence[str] = ("backbone.layer3.", "neck.post_corr.", "neck.channel_attention.")
    method_class: ClassVar[type[Method]] = AlphaRefineMethod

    def __init__(self, cfg: EasyDict):
        """Raises InputError for a network without any head."""
        super().__init__()
        head, backbone, search = cfg.MODEL.HEAD, cfg.MODEL.BACKBONE, cfg.DATA.SEARCH
        if head.TYPE == "NONE" and not cfg.MODEL.MASK:
            raise InputError("MODEL.HEAD.TYPE: NONE and MODEL.MASK: false leave nothing to compute; set one of them")
        self.normalize = Normalize(cfg.DATA.MEAN, cfg.DATA.STD, self.modalities)
        self.backbone = ImageNetResNet(backbone.DEPTH, last=3, width=backbone.WIDTH)
        layout = NeckLayout.from_config(cfg.MODEL.NECK)
        self.neck = RefineNeck(layout, cfg.DATA.TEMPLATE.SIZE // _STRIDE, _STRIDE, cfg.DATA.TEMPLATE.FACTOR)
        self.search_size: int = search.SIZE
        kind = BOX_HEADS.get(head.TYPE)
        self.corner_head: BoxHead | None = None
        if kind is not None:
            self.corner_head = kind(layout.channels, head.NUM_CHANNELS, search.SIZE // _STRIDE, _STRIDE)
        self.mask_head: MaskHead | None = None
        if cfg.MODEL.MASK:
            base = self.backbone.channels["conv1"]
            self.mask_head, self.feat_adjust = MaskHead(layout.channels, base), Adjustments(self.backbone.channels)
        # A published model without mask head still stores the layers before it.
        self.dropped_keys = ("backbone.layer4.*", "backbone.fc.*", *(() if cfg.MODEL.MASK else ("feat_adjust.*",)))
        self.training_rules = RefineTraining.from_config(cfg)

    def embed(self, template: Tensor, box: Tensor | None = None) -> Any:
        """template [B, 1, 3, S, S] -> Memory; the box [B, 4] (cxcywh in units of the template) is used by necks that
        pool it"""
        corners = None if box is None else cxcywh_to_xyxy(box) * template.shape[-1]
        return Memory(self.neck.take(self.backbone(template[:, 0])[_LAYER], corners))

    def forward(self, memory: Any, search: Tensor) -> Any:
        """Memory and search [B, 1, 3, S, S] -> Refinement with box and mask, as far as there are heads"""
        return self.refine(memory, search, mask=self.mask_head is not None)

    def refine(self, memory: Memory, search: Tensor, *, mask: bool) -> Refinement:
        """As `forward`; mask: whether to compute the mask."""
        maps = self.backbone(search[:, 0])
        features = self.neck(memory.kernel, maps[_LAYER])
        found = None if self.corner_head is None else self.corner_head(features)
        logits = self.mask_head(features, self.feat_adjust(maps)) if mask and self.mask_head is not None else None
        corners, chances, boxes = (None, None, None) if found is None else found
        return Refinement(features, corners, chances, logits, boxes)

    def read(self, prediction: Any) -> Tensor:
        """The box between the corners, whichever is left and upper; of a network without box head the extent of the
        mask."""
        corners = prediction.corners if self.corner_head is not None else mask_extent(prediction.mask)
        return xywh_to_cxcywh(xyxy_to_xywh(in_order(corners))) / self.search_size

    def scores(self, prediction: Any) -> Tensor:
        """How sure the box head is, or the mean probability inside the mask: [B] in (0, 1]."""
        if self.corner_head is not None:
            return self.corner_head.scores(prediction.logits)
        chances = prediction.mask.float().sigmoid().flatten(1)
        inside = chances > 0.5
        mean = (chances * inside).sum(1) / inside.sum(1).clamp(min=1)
        return torch.where(inside.any(1), mean, chances.amax(1))

    def score_map(self, prediction: Any) -> ScoreMap:
        """Where the corners are; of a network without box head the mask."""
        if self.corner_head is not None:
            chances = self.corner_head.chances(prediction.logits)
            return ScoreMap(chances, 0.0, 1 / chances.shape[-1])
        chances = prediction.mask.float().sigmoid()[:, 0]
        return ScoreMap(chances, 0.5 / chances.shape[-1], 1 / chances.shape[-1])

    def step(self, batch: PairBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses of corners and masks; see RefineTraining."""
        box = xywh_to_cxcywh(batch.template_box)
        prediction = self(self.embed(batch.template, box), batch.search)
        found = Corners(prediction.corners, prediction.logits, prediction.boxes)
        truth = cxcywh_to_xyxy(xywh_to_cxcywh(batch.search_box)) * self.search_size
        losses, figures = self.training_rules(self.corner_head, found, prediction.mask, truth, batch)
        with torch.no_grad():
            figures["iou"] = self.training_rules.overlap(
                cxcywh_to_xyxy(self.read(prediction)) * self.search_size, truth
            )
        return losses, figures

    @classmethod
    def rename(cls, key: str) -> str:
        """The name that a key of the published files has here."""
        return rename_public(key)

    def adopt(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The published weights under this network's names. Raises InputError, with the remedy, for weights of another
        depth or neck than the configuration's."""
        named = {rename_public(key): value for key, value in weights.items()}
        check_layout(named, self.state_dict())
        return named

    def fit(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a backbone or of a refiner, whatever its layout."""
        return {rename_public(key): value for key, value in weights.items()}

    def publish(self, naming: str) -> dict[str, Tensor]:
        """The weights under this toolbox's names or the published code's ("pytracking"). Raises InputError for an
        unknown naming."""
        choose("--naming", naming, ["toolbox", "pytracking"])
        own = self.state_dict()
        return own if naming == "toolbox" else {to_public(key): value for key, value in own.items()}

    def timm_weights(self, cfg: EasyDict) -> dict[str, Tensor]:
        """torchvision's weights of the ResNet of MODEL.BACKBONE.DEPTH, which timm downloads. Raises InputError where
        that fails."""
        return {f"backbone.{key}": value for key, value in timm_resnet(cfg.MODEL.BACKBONE.DEPTH).items()}


def in_order(corners: Tensor) -> Tensor:
    """[B, 4] xyxy -> the same with the smaller value of each direction first; not-a-number stays"""
    first, second = corners[:, :2], corners[:, 2:]
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], dim=1)


def mask_extent(logits: Tensor) -> Tensor:
    """The box around the pixels inside a mask: [B, 1, S, S] -> [B, 4] xyxy, pixels. An empty mask gives the middle
    half, where the crop's own box is."""
    inside = logits[:, 0] > 0
    size = inside.shape[-1]
    sides = []
    for axis in (1, 2):
        along = inside.any(axis).to(torch.uint8)
        sides.append((along.argmax(1), size - along.flip(1).argmax(1)))
    (left, right), (top, bottom) = sides
    found = torch.stack([left, top, right, bottom], dim=1).float()
    middle = torch.cat([torch.full_like(found[:, :2], 0.25 * size), torch.full_like(found[:, 2:], 0.75 * size)], dim=1)
    return torch.where(inside.flatten(1).any(1, keepdim=True), found, middle)
