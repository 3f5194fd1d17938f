"""SiamMask: SiamRPN++ on one level that also finds the target's pixels (Wang et al., CVPR 2019); pysot's network.

B targets, C channels, A anchors, n score cells and k kernel cells on each side, S side of the search region.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from easydict import EasyDict
from torch import Tensor

from ...core.errors import InputError
from ...layers.siamese.ban import DepthwiseCorrelation
from ...layers.siamese.mask_windows import Cells, MaskRefinement, read_coarse
from ...layers.trunks.resnet import channels_of
from ..base import PairBatch
from ..method import Method
from .siammask_method import SiamMaskMethod
from .siammask_training import MaskTraining
from .siamrpnpp import SiamRPNPP

_COARSE = 63  # side of the mask of each cell that is not refined


class Kernels(NamedTuple):
    """What SiamMask keeps about a target: the kernels of its template."""

    cls: Tensor  # [B, 1, C, k, k]
    loc: Tensor  # [B, 1, C, k, k]
    mask_kernel: Tensor  # [B, C, k, k]


class Prediction(NamedTuple):
    """SiamMask's output for a search region."""

    logits: Tensor  # [B, 2, A, n, n] background, target
    deltas: Tensor  # [B, 4, A, n, n] corrections of the anchors
    correlation: Tensor | None = None  # [B, C, n, n] of the mask's block, from which the mask of each cell is made
    finer: tuple[Tensor, ...] | None = None  # [B, C', f, f] maps of the trunk that the refinement reads
    mask: Tensor | None = None  # [B, M, M] in [0, 1] the target's pixels, of the chosen cell; see SiamMaskMethod


class SiamMask(SiamRPNPP):
    """SiamMask's network."""

    marks: Sequence[str] = (*SiamRPNPP.marks, "mask_head.conv_kernel.")
    method_class: ClassVar[type[Method]] = SiamMaskMethod
    training_crops = "context_masks"
    early = True
    mask_rules: MaskTraining
    refine_head: MaskRefinement | None

    def __init__(self, cfg: EasyDict):
        """Raises InputError for several levels, or another one than the refinement's maps lead to."""
        super().__init__(cfg)
        if list(cfg.MODEL.LEVELS) != [4]:
            raise InputError(f"MODEL.LEVELS: {list(cfg.MODEL.LEVELS)}: the masks are made from level 4; give [4]")
        hidden = cfg.MODEL.HEAD.NUM_CHANNELS
        self.mask_head = DepthwiseCorrelation(hidden, hidden, _COARSE**2)
        refined = cfg.MODEL.MASK == "refined"
        base = channels_of(1, cfg.MODEL.BACKBONE.WIDTH)
        self.refine_head = MaskRefinement(hidden, base) if refined else None
        self.mask_rules = MaskTraining.from_config(cfg)
        if self.mask_rules.refinement_alone:
            self.requires_grad_(False)
            assert self.refine_head is not None
            self.refine_head.requires_grad_(True)

    def embed(self, template: Tensor, box: Tensor | None = None) -> Any:
        """template [B, 1, 3, 127, 127] -> Kernels; `box` is not used: the target is in the middle"""
        features = self.features(template, template=True)
        return Kernels(*self.rpn_head.make_kernels(features), self.mask_head.conv_kernel(features[0]))

    def forward(self, memory: Any, search: Tensor) -> Any:
        """Kernels and search [B, 1, 3, S, S] -> Prediction"""
        assert self.neck is not None
        maps = self.backbone(search)
        features = self.neck(maps, template=False)[:, 0, 0]
        logits, deltas = self.rpn_head([features], memory.cls, memory.loc)
        correlation = self.mask_head.correlate(memory.mask_kernel, features)
        finer = tuple(maps[level][:, 0] for level in (1, 2, 3)) if self.refine_head is not None else None
        return Prediction(logits, deltas, correlation, finer)

    def masks(self, prediction: Prediction, cells: Cells) -> Tensor:
        """The masks of cells: [N, 127, 127] logits, in pixels of the search region."""
        assert prediction.correlation is not None
        if self.refine_head is None:
            return self.coarse_masks(prediction, cells)
        assert prediction.finer is not None
        return self.refine_head.refine(prediction.correlation, prediction.finer, cells)

    def coarse_masks(self, prediction: Prediction, cells: Cells) -> Tensor:
        """As `masks`, without the refinement."""
        assert prediction.correlation is not None
        return read_coarse(self.mask_head.read(prediction.correlation), cells)

    def step(self, batch: PairBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The losses of SiamRPN++, and those of masks where pairs have them; see MaskTraining. While the refinement
        learns alone, its loss alone."""
        if batch.mask is None:
            raise InputError("SiamMask learns from pairs with masks; give a data set that has some")
        prediction, truth = self(self.embed(batch.template), batch.search), self.in_pixels(batch)
        anchors, rules = self.anchors(prediction), self.mask_rules
        losses, figures = self.training_rules(anchors, prediction, truth)
        labels = self.training_rules.labels(anchors, truth.search_box, truth.positive, truth.others)
        chosen = rules.choose(labels, batch)
        if rules.refinement_alone:
            losses = {}
        else:
            losses["mask"], figures["mask_iou"] = rules(self.coarse_masks(prediction, chosen.cells), chosen)
        if self.refine_head is not None:
            losses["refined"], figures["refined_iou"] = rules(self.masks(prediction, chosen.cells), chosen)
        return losses, figures

    def set_epoch(self, epoch: int) -> None:
        """As the base's; while the refinement learns alone, everything else stands still."""
        if self.mask_rules.refinement_alone:
            self.backbone.learn_last(0)
        else:
            super().set_epoch(epoch)

    def train(self, mode: bool = True) -> "SiamMask":
        """Training mode; while the refinement learns alone, BatchNorm of everything else keeps its statistics."""
        super().train(mode)
        if self.mask_rules.refinement_alone:
            for part in (self.backbone, self.neck, self.rpn_head, self.mask_head):
                assert part is not None
                part.eval()
        return self
