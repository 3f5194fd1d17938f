"""One-stream networks: template and search tokens attend to each other in every block of a ViT (OSTrack, TBSI, IIMF).

B targets, M modalities, S streams (OSTrack 1, TBSI 2, IIMF 3), Lz template tokens, Lx search tokens = n^2, C channels.
Streams share the blocks' weights and run through them as one batch of S*B, stream by stream.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor

from ...core.errors import InputError
from ...layers.heads import Prediction, build_head
from ...layers.losses import box_losses, focal_loss, gaussian_maps
from ...layers.normalize import Normalize
from ...layers.transformer.candidates import choose_judges
from ...layers.transformer.lora import add_lora
from ...layers.transformer.vit import VisionEncoder, create_vit, split_streams
from ..base import Network, PairBatch, ScoreMap
from .method import OneStreamMethod
from .vit_weights import fit_encoder

_STEM = ("backbone.patch_embed.", "backbone.pos_embed_", "backbone.norm_pre.")


class Memory(NamedTuple):
    """What a one-stream network keeps about a target: its template's tokens."""

    tokens: Tensor  # [B, M, Lz, C]
    judges: Tensor  # [B, Lz] weights of the template tokens that judge search candidates


class OneStream(Network):
    """What one-stream networks share. A subclass defines how its encoder mixes the streams (`encoder_class`, `mixing`)
    and how it fuses their search tokens for the head (`fuse`)."""

    method_class = OneStreamMethod

    #: Class token and pretraining grid only serve to initialise the position codes.
    dropped_keys: Sequence[str] = ("backbone.cls_token", "backbone.pos_embed")
    precise = ("box_head.conv[45]_*",)
    backbone_key = "MODEL.BACKBONE.TYPE"

    encoder_class: type[VisionEncoder]
    streams: int  # S that the encoder returns
    backbone: Any  # an encoder_class
    window: Tensor

    def __init__(self, cfg: EasyDict):
        super().__init__()
        self.normalize = Normalize(cfg.DATA.MEAN, cfg.DATA.STD, self.modalities)
        self.backbone = self.build_encoder(cfg)
        self.backbone.recompute = cfg.TRAIN.CHECKPOINT_BLOCKS
        grid = self.backbone.grid_x
        self.box_head = build_head(cfg.MODEL.HEAD.TYPE, self.backbone.embed_dim, cfg.MODEL.HEAD.NUM_CHANNELS, grid)
        self.register_buffer("window", hann_window(grid), persistent=False)
        self.judge_range: str = cfg.MODEL.BACKBONE.CE_TEMPLATE_RANGE
        self.template_factor: float = cfg.DATA.TEMPLATE.FACTOR
        self.weights = {"giou": cfg.TRAIN.GIOU_WEIGHT, "l1": cfg.TRAIN.L1_WEIGHT, "focal": cfg.TRAIN.FOCAL_WEIGHT}

    def build_encoder(self, cfg: EasyDict) -> VisionEncoder:
        """The encoder that the configuration names, from scratch."""
        backbone = cfg.MODEL.BACKBONE
        vit = create_vit(
            backbone.TYPE,
            drop_path_rate=cfg.TRAIN.DROP_PATH_RATE,
            patch_size=backbone.STRIDE,
            img_size=cfg.DATA.SEARCH.SIZE,
            embed_dim=backbone.EMBED_DIM,
            depth=backbone.DEPTH,
            num_heads=backbone.NUM_HEADS,
        )
        sizes = {"template_size": cfg.DATA.TEMPLATE.SIZE, "search_size": cfg.DATA.SEARCH.SIZE}
        return self.encoder_class(vit, stride=backbone.STRIDE, **sizes, **self.mixing(cfg))

    def mixing(self, cfg: EasyDict) -> dict[str, Any]:
        """Further arguments of `encoder_class`."""
        return {}

    @abstractmethod
    def fuse(self, streams: list[Tensor]) -> Tensor:
        """The head's features from each stream's search tokens: S times [B, Lx, C] -> [B, C, n, n]."""

    def embed(self, template: Tensor, box: Tensor | None = None) -> Memory:
        """template [B, M, 3, Sz, Sz] normalised -> Memory"""
        if box is None:
            side = 1 / self.template_factor
            box = template.new_tensor([0.5, 0.5, side, side]).expand(template.shape[0], 4)
        tokens = self.backbone.embed_template(template.flatten(0, 1)).unflatten(0, template.shape[:2])
        return Memory(tokens, choose_judges(self.judge_range, self.backbone.grid_z, box))

    def encode(self, memory: Memory, search: Tensor, *, search_only: bool = False) -> list[Tensor]:
        """Every stream's normalised tokens: S times [B, Lz + Lx, C], or [B, Lx, C] when `search_only`."""
        z = memory.tokens.transpose(0, 1).flatten(0, 1)
        x = self.backbone.embed_search(search.transpose(0, 1).flatten(0, 1))
        return list(split_streams(self.backbone(z, x, memory.judges, search_only), self.streams))

    def forward(self, memory: Memory, search: Tensor) -> Prediction:
        """search [B, M, 3, Sx, Sx] normalised -> Prediction"""
        return self.box_head(self.fuse(self.encode(memory, search, search_only=True)))

    def read(self, prediction: Prediction) -> Tensor:
        """The box where the score is highest."""
        return prediction.boxes

    def score_map(self, prediction: Prediction) -> ScoreMap:
        """The centre head's map, or the corner head's map of the top-left corner divided by its largest value. Cell i
        stands for the place i / n, in the labels as in the decoded boxes."""
        scores = prediction.score_map[:, 0]
        scores = scores if prediction.size_map.shape[1] else scores / scores.amax(dim=(1, 2), keepdim=True)
        return ScoreMap(scores, 0.0, 1 / scores.shape[-1])

    def step(self, batch: PairBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """2 (1 - GIoU) + 5 L1 + focal by default (OSTrack, eq. 4), and the mean IoU."""
        # The target sits in the middle of its template unless the template was jittered.
        box = torch.cat([batch.template_box[:, :2] + batch.template_box[:, 2:] / 2, batch.template_box[:, 2:]], dim=1)
        prediction = self(self.embed(batch.template, box), batch.search)
        giou, l1, iou = box_losses(prediction.boxes, batch.search_box)
        terms = {"giou": giou, "l1": l1}
        if prediction.size_map.shape[1]:
            target = gaussian_maps(batch.search_box, self.backbone.grid_x)
            terms["focal"] = focal_loss(prediction.score_map[:, 0], target)
        return {name: self.weights[name] * term for name, term in terms.items()}, {"iou": iou.mean()}

    def fit(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Patch kernel and position codes resized to this encoder's grids."""
        return fit_encoder(self.backbone, self.adopt(weights))

    def timm_weights(self, cfg: EasyDict) -> dict[str, Tensor]:
        """timm's weights of MODEL.BACKBONE.TYPE, downloaded. Raises InputError where that fails."""
        weights = create_vit(cfg.MODEL.BACKBONE.TYPE, pretrained=True).state_dict()
        return {f"backbone.{key}": value for key, value in weights.items()}

    def layers_behind(self, name: str) -> int:
        """Each block is a layer; patch embedding and position codes together are another one."""
        depth = len(self.backbone.blocks)
        if name.startswith("backbone.blocks."):
            return depth - int(name.split(".")[2])
        return depth + 1 if name.startswith(_STEM) else 0

    def add_lora(self, rank: int, alpha: float) -> None:
        """Add LoRA to the attention of the encoder's blocks."""
        add_lora(self.backbone, rank, alpha)

    def to_map(self, tokens: Tensor) -> Tensor:
        """[B, Lx, C] -> [B, C, n, n]"""
        grid = self.backbone.grid_x
        return tokens.transpose(1, 2).unflatten(2, (grid, grid))


def hann_window(grid: int) -> Tensor:
    """Outer product of two Hann windows of length n without zero end points: [n, n]."""
    ramp = torch.hann_window(grid + 2, periodic=False, dtype=torch.float64)[1:-1]
    return torch.outer(ramp, ramp).float()


def check_blocks(key: str, blocks: list[int], depth: int) -> tuple[int, ...]:
    """The numbers of blocks, checked. Raises InputError with the key where they do not ascend or the ViT has fewer
    blocks (`depth`)."""
    if sorted(set(blocks)) != list(blocks) or any(block >= depth for block in blocks):
        raise InputError(
            f"{key}: {list(blocks)} does not fit {depth} blocks; give ascending numbers from 0 to {depth - 1}"
        )
    return tuple(blocks)
