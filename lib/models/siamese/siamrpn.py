"""SiamRPN: Siamese features, anchors, one correlation (Li et al., CVPR 2018); the networks that DaSiamRPN released.

B targets, C channels of the trunk, A anchors, n score cells on each side, N = A n^2, S side of the search region.
"""

from types import ModuleType
from typing import Any, ClassVar, NamedTuple

from easydict import EasyDict
from torch import Tensor

from ...core.boxes import xywh_to_cxcywh
from ...core.errors import InputError
from ...layers.normalize import RawBGR
from ...layers.siamese.anchors import anchor_boxes, anchor_shapes, decode
from ...layers.siamese.heads import UPChannelRPN
from ...layers.trunks.alexnet import AlexNetTrunk
from ..base import PairBatch
from ..method import Method
from . import siamrpn_names
from .method import ProposalMethod, ProposalNetwork
from .network import from_crop_units
from .siamrpn_training import AnchorTraining


class Kernels(NamedTuple):
    """What SiamRPN keeps about a target: the kernels from its template."""

    cls: Tensor  # [B, 2 A, C, 4, 4]
    loc: Tensor  # [B, 4 A, C, 4, 4]


class Prediction(NamedTuple):
    """SiamRPN's output for a search region."""

    logits: Tensor  # [B, 2, A, n, n] background, target
    deltas: Tensor  # [B, 4, A, n, n] corrections of the anchors


class SiamRPNMethod(ProposalMethod):
    """Takes the proposal with the highest rank and smooths its size."""

    network: "SiamRPN"

    def graph_settings(self) -> dict[str, Any]:
        """Raises InputError."""
        raise InputError(
            f"{type(self.network).__name__}: no graph fits its correlation for any number of targets; "
            "for the networks of SiamRPN there is --format opencv"
        )

    def merge_memory(self, memory: Any, fresh: Any) -> Any:
        """Blends the old and the new template's kernels. The kernels are linear in the features, so this equals
        blending the features."""
        share = self.update.SHARE
        return memory._replace(cls=memory.cls.lerp(fresh.cls, share), loc=memory.loc.lerp(fresh.loc, share))


class AnchorNetwork(ProposalNetwork):
    """A network with anchors: one image, pixels without normalisation."""

    modalities = 1
    training_crops = "context"
    anchor_shapes: Tensor

    def __init__(self, cfg: EasyDict):
        """Raises InputError for a search region of a size that the network does not take."""
        super().__init__()
        self.normalize = RawBGR()
        self.check_size("DATA.SEARCH.SIZE", cfg.DATA.SEARCH.SIZE)
        shapes = anchor_shapes(cfg.MODEL.ANCHOR.RATIOS, cfg.MODEL.ANCHOR.SCALES, self.stride)
        self.register_buffer("anchor_shapes", shapes, persistent=False)

    def read_boxes(self, prediction: Any) -> Tensor:
        """[B, 4, A, n, n] cxcywh, pixels relative to the region's centre"""
        return decode(prediction.deltas.float(), self.anchors(prediction))

    def anchors(self, prediction: Any) -> Tensor:
        """[4, A, n, n] cxcywh, pixels relative to the region's centre"""
        return anchor_boxes(self.anchor_shapes, prediction.logits.shape[-1], self.stride)

    def step(self, batch: PairBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Classification loss of the sampled anchors and box loss of the positive ones; see AnchorTraining."""
        prediction = self(self.embed(batch.template), batch.search)
        return self.training_rules(self.anchors(prediction), prediction, self.in_pixels(batch))

    @staticmethod
    def in_pixels(batch: PairBatch) -> PairBatch:
        """The batch with boxes cxcywh, pixels of the search region relative to its centre."""
        size = batch.search.shape[-1]
        boxes = from_crop_units(xywh_to_cxcywh(batch.search_box), size)
        others = None if batch.others is None else from_crop_units(xywh_to_cxcywh(batch.others), size)
        return batch._replace(search_box=boxes, others=others)


class SiamRPN(AnchorNetwork):
    """SiamRPN's network."""

    backbone_key = "MODEL.BACKBONE.WIDTH"
    marks = ("rpn_head.",)
    names: ClassVar[ModuleType] = siamrpn_names
    method_class: ClassVar[type[Method]] = SiamRPNMethod

    def __init__(self, cfg: EasyDict):
        """Raises InputError for a search region that does not fit the trunk's stride."""
        super().__init__(cfg)
        self.backbone = AlexNetTrunk(cfg.MODEL.BACKBONE.WIDTH)
        self.rpn_head = UPChannelRPN(self.backbone.channels, len(self.anchor_shapes), cfg.MODEL.CORR_SCALE)
        self.training_rules = AnchorTraining.from_config(cfg, self.backbone.stages)

    def embed(self, template: Tensor, box: Tensor | None = None) -> Any:
        """template [B, 1, 3, 127, 127] -> Kernels; `box` is not used: the target is in the middle"""
        return Kernels(*self.rpn_head.make_kernels(self.backbone(template[:, 0])))

    def forward(self, memory: Any, search: Tensor) -> Any:
        """Kernels and search [B, 1, 3, S, S], S = 127 + 8 (n - 1) -> Prediction"""
        return Prediction(*self.rpn_head(self.backbone(search[:, 0]), memory.cls, memory.loc))
