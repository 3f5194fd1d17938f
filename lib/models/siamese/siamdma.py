"""SiamDMA: Siamese dual-level and multi-domain fusion attention for RGB-T tracking (He, 2021).

Both cameras' features of template and search region change each other (CDSA); the score map of each camera alone (the
auxiliary heads) says where its features count (DLBM); one head without anchors finds the target.
B targets, L levels of the trunk, C channels, n score cells and m = n + 6 features on each side of the search region.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor, nn

from ...core.boxes import xywh_to_cxcywh
from ...core.errors import InputError
from ...layers.normalize import GreyInfrared, Normalize, RawBGR
from ...layers.siamese.ban import LevelHead, MultiBANHead, boxes_from_sides
from ...layers.siamese.cross_domain import CrossDomainSiameseAttention
from ...layers.siamese.level_fusion import DualLevelFusionAttention, PaddingConv, side_by_side
from ...layers.siamese.neck import Neck, level_name
from ...layers.trunks.resnet import STRIDE, ResNetTrunk, channels_of
from ..base import PairBatch, ScoreMap
from ..method import Method
from . import siamdma_names
from .method import ProposalNetwork
from .network import from_crop_units
from .siamdma_method import SiamDMAMethod
from .siamdma_training import SiamDMATraining

INPUTS = ("imagenet", "pysot")


class Memory(NamedTuple):
    """What SiamDMA keeps about a target: everything of the template that needs no search region."""

    features: Tensor  # [B, L, 2, C, 7, 7] behind the neck; visible, infrared
    known: Tensor | None  # [B, L, 2, C, 7, 7] the attention's terms that need no search region; None without CDSA
    channels: Tensor | None  # [B, L, 2, C, C] the channel maps that change the search region; None without CDSA


class Prediction(NamedTuple):
    """SiamDMA's output for a search region."""

    logits: Tensor  # [B, 2, n, n] background, target
    distances: Tensor  # [B, 4, n, n] to the left, top, right and bottom side, pixels of the search region
    stream_logits: Tensor | None = None  # [B, 2, 2, n, n] of the visible and of the infrared camera alone
    masks: Tensor | None = None  # [B, 2, m, m] what the cameras' features count where weights are found


class SiamDMA(ProposalNetwork):
    """SiamDMA's network: two cameras."""

    modalities = 2
    extra_cells, size_step = 8, 2 * STRIDE  # the score map has a middle cell
    training_crops = "streams"
    backbone_key = "MODEL.BACKBONE.WIDTH"
    marks: Sequence[str] = ("backbone.streams.", "head.levels.")
    dropped_keys: Sequence[str] = siamdma_names.NOT_USED
    precise: Sequence[str] = ("head.levels.*.loc.head.*", "head.loc_scale", "head.loc_weight")
    names: ClassVar[ModuleType] = siamdma_names
    method_class: ClassVar[type[Method]] = SiamDMAMethod
    input_form: Tensor

    def __init__(self, cfg: EasyDict):
        """Raises InputError for parts that do not go together."""
        super().__init__()
        model, levels = cfg.MODEL, cfg.MODEL.LEVELS
        channels, width = model.HEAD.NUM_CHANNELS, model.BACKBONE.WIDTH
        check_parts(cfg)
        plain = Normalize(cfg.DATA.MEAN, cfg.DATA.STD, self.modalities) if cfg.DATA.INPUT == "imagenet" else RawBGR()
        self.normalize = GreyInfrared(plain)
        # Weights of one kind of input are useless with the other, so they carry which one they were made for.
        self.register_buffer("input_form", torch.tensor(INPUTS.index(cfg.DATA.INPUT)))
        self.backbone = ResNetTrunk(levels[-1], width, self.modalities, model.BACKBONE.SHARED_STEM)
        self.neck = Neck({level: channels_of(level, width) for level in levels}, channels, self.modalities)
        names = [level_name(level) for level in levels]
        form, parts = model.CDSA, names if model.CDSA.USE else []
        self.attention = nn.ModuleDict(
            {name: CrossDomainSiameseAttention(channels, form.CHANNEL, form.SPATIAL, form.RESIDUALS) for name in parts}
        )
        self.stream_heads = nn.ModuleList(LevelHead(names, channels) for _ in range(2 if model.AUX.USE else 0))
        self.padding_conv = PaddingConv() if model.DLBM.USE and model.DLBM.DECISION else None
        form, count = model.DLBM, len(levels)
        self.mask_form: str = form.MASK
        self.fusion = DualLevelFusionAttention(count, channels, form.CHANNEL, form.RESIDUALS) if form.USE else None
        self.head = MultiBANHead(names, 2 * channels)
        self.infrared_factor: float = cfg.TRAIN.INFRARED_FACTOR
        self.training_rules = SiamDMATraining.from_config(cfg, self.backbone.stages)

    def embed(self, template: Tensor, box: Tensor | None = None) -> Memory:
        """template [B, 2, 3, 127, 127] -> Memory; `box` is not used: the target is in the middle"""
        return self.remember(self.neck(self.backbone(template), template=True))

    def remember(self, features: Tensor) -> Memory:
        """The memory of template features behind the neck, [B, L, 2, C, 7, 7]."""
        if not self.attention:
            return Memory(features, None, None)
        parts: list[Any] = list(self.attention.values())
        seen = [part.look(level) for part, level in zip(parts, features.unbind(1), strict=True)]
        return Memory(
            features, torch.stack([known for known, _ in seen], 1), torch.stack([maps for _, maps in seen], 1)
        )

    def forward(self, memory: Memory, search: Tensor) -> Prediction:
        """Memory and search [B, 2, 3, S, S] -> Prediction"""
        features = self.neck(self.backbone(search), template=False)
        template, features = self.attend(memory, features)
        logits = masks = None
        if self.stream_heads:
            each = enumerate(self.stream_heads)
            logits = torch.stack([head(template[:, :, k], features[:, :, k]) for k, head in each], dim=1)
        if self.padding_conv is not None and logits is not None:
            masks = self.find_masks(logits)
        templates, searches = self.join_cameras(template, features, masks)
        found, distances = self.head(templates, searches)
        return Prediction(found, distances, logits, None if masks is None else masks[:, :, 0])

    def attend(self, memory: Memory, search: Tensor) -> tuple[Tensor, Tensor]:
        """The template and the search region, [B, L, 2, C, m, m], after the attention of each level."""
        if memory.known is None or memory.channels is None:
            return memory.features, search
        inputs = (search, memory.features, memory.known, memory.channels)
        levels = zip(*(part.unbind(1) for part in inputs), strict=True)
        pairs = [part(*own) for part, own in zip(self.attention.values(), levels, strict=True)]
        return torch.stack([z for z, _ in pairs], dim=1), torch.stack([x for _, x in pairs], dim=1)

    def find_masks(self, stream_logits: Tensor) -> Tensor:
        """[B, 2, 2, n, n] -> [B, 2, 1, m, m]. Losses of the whole prediction do not train the cameras' own heads."""
        assert self.padding_conv is not None
        scores = stream_logits.detach().softmax(2)[:, :, 1:]
        scores = scores.to(next(self.padding_conv.parameters()).dtype)
        masks = self.padding_conv(scores.flatten(0, 1)).unflatten(0, scores.shape[:2])
        return masks.sigmoid() if self.mask_form == "sigmoid" else masks

    def join_cameras(
        self, template: Tensor, search: Tensor, masks: Tensor | None
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The input of the head: of each level [B, 2 C, 7, 7] and [B, 2 C, m, m]."""
        if self.fusion is None:
            return side_by_side(template), side_by_side(search)
        return self.fusion(template, search, masks)

    def read_boxes(self, prediction: Any) -> Tensor:
        """The box of each cell: [B, 4, n, n] cxcywh, pixels from the middle of the search region."""
        return boxes_from_sides(prediction.distances.float())

    def step(self, batch: PairBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses of the whole prediction and of the cameras' own heads; see SiamDMATraining."""
        prediction = self(self.embed(batch.template), batch.search)
        boxes = from_crop_units(xywh_to_cxcywh(batch.search_box), batch.search.shape[-1])
        return self.training_rules(prediction, batch._replace(search_box=boxes))

    def fit(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights to start from: a SiamDMA, a SiamBAN or another tracker of pysot, or a ResNet-50 of pysot or
        torchvision. Both cameras get the same."""
        return siamdma_names.start_weights(weights, self.state_dict())

    def timm_weights(self, cfg: EasyDict) -> dict[str, Tensor]:
        """torchvision's ImageNet weights of ResNet-50, downloaded. Raises InputError where that fails."""
        return siamdma_names.download_resnet()

    def rate_factor(self, name: str) -> float:
        """The infrared camera has further to go from its start on visible images."""
        return self.infrared_factor if name.startswith("backbone.streams.1.") else 1.0

    def watched(self) -> dict[str, Tensor]:
        """All gains, and the shares of the levels."""
        seen: dict[str, Tensor] = {}
        for name, parameter in self.named_parameters():
            if name.endswith(("_weight", "_gains", "loc_scale", ".gain")) or ".channel_gains." in name:
                values = parameter.softmax(0) if name.endswith("_weight") else parameter
                seen |= {f"{name}.{k}": value for k, value in enumerate(values.detach())}
        return seen

    def distributions(self, prediction: Prediction) -> dict[str, Tensor]:
        """The masks of the two cameras."""
        if prediction.masks is None:
            return {}
        return dict(zip(("mask_visible", "mask_infrared"), prediction.masks.unbind(1), strict=True))

    def inner_maps(self, prediction: Prediction) -> list[ScoreMap]:
        """The masks of the two cameras."""
        masks = [] if prediction.masks is None else prediction.masks.unbind(1)
        step = STRIDE / self.region_size(prediction)
        return [ScoreMap(mask, 0.5 - step * (mask.shape[-1] - 1) / 2, step) for mask in masks]


def check_parts(cfg: EasyDict) -> None:
    """Raises InputError for parts that do not go together, and for a search region of another size than the head's."""
    levels, model = cfg.MODEL.LEVELS, cfg.MODEL
    if not levels or sorted(set(levels)) != levels:
        raise InputError(f"MODEL.LEVELS: {levels} is not ascending; give [3, 4], for example")
    if model.DLBM.USE and model.DLBM.DECISION and not model.AUX.USE:
        raise InputError(
            "MODEL.DLBM.DECISION: needs the score maps of MODEL.AUX; set MODEL.AUX.USE=true, or this to false"
        )
    SiamDMA.check_size("DATA.SEARCH.SIZE", cfg.DATA.SEARCH.SIZE)
