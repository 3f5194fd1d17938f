"""SiamRPN++: deep features of several levels, correlated channel by channel (Li et al., CVPR 2019); pysot's networks.

B targets, L levels, C channels, A anchors, n score cells and k kernel cells on each side, S side of the search region.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

from easydict import EasyDict
from torch import Tensor

from ...core.errors import InputError
from ...core.frame import Streams
from ...layers.siamese.heads import DepthwiseRPN
from ...layers.siamese.neck import Neck, level_name
from ...layers.trunks.alexnet import AlexNetTrunk
from ...layers.trunks.mobilenet import LAYERS, LEVELS, MobileNetTrunk, scale
from ...layers.trunks.resnet import ResNetTrunk, channels_of
from ..method import Method
from . import siamrpnpp_names
from .long_term import build_long_term
from .method import PysotMethod
from .siamdma_names import download_resnet
from .siamrpn import AnchorNetwork, Prediction
from .siamrpn_training import AnchorTraining

_ALEXNET_LEVELS = [5]  # its last convolution


class Kernels(NamedTuple):
    """What SiamRPN++ keeps about a target: the kernels of its template."""

    cls: Tensor  # [B, L, C, k, k]
    loc: Tensor  # [B, L, C, k, k]


class SiamRPNPPMethod(PysotMethod):
    """Takes the proposal with the highest rank and smooths its size; in the mode `long_term` a lost target is searched
    in a large region."""

    network: "SiamRPNPP"

    def __init__(self, network: "SiamRPNPP", test: EasyDict):
        """Raises InputError for search regions that do not fit the trunk's stride, or each other."""
        super().__init__(network, test)
        self.stream: str = test.STREAM
        if test.MODE == "long_term":
            self.long_term = build_long_term(network, test, hold="always")
            self.lost_influence = test.LONG_TERM.WINDOW_INFLUENCE

    @property
    def streams(self) -> Streams:
        """The stream of TEST.STREAM."""
        return super().streams._replace(single=self.stream)

    def graph_settings(self) -> dict[str, Any]:
        """As the base's, and which images the crops are cut from."""
        chosen = {"stream": self.stream, "missing_infrared": self.network.missing_infrared}
        return {**super().graph_settings(), **chosen}

    def merge_memory(self, memory: Any, fresh: Any) -> Any:
        """Blends the old and the new template's kernels."""
        share = self.update.SHARE
        return type(memory)._make(old.lerp(new, share) for old, new in zip(memory, fresh, strict=True))


class SiamRPNPP(AnchorNetwork):
    """SiamRPN++'s network on a ResNet-50, a MobileNetV2 or an AlexNet."""

    backbone_key = "MODEL.BACKBONE.TYPE"
    names: ClassVar[ModuleType] = siamrpnpp_names
    marks: Sequence[str] = ("rpn_head.levels.", ".cls.conv_kernel.", ".loc.conv_kernel.")
    precise: Sequence[str] = ("rpn_head.levels.*.loc.head.*", "rpn_head.loc_weight")
    method_class: ClassVar[type[Method]] = SiamRPNPPMethod
    early: bool = False  # whether the trunk also gives its maps before level 3

    def __init__(self, cfg: EasyDict):
        """Raises InputError for a search region of a size that the network does not take, and for levels that the trunk
        does not have."""
        super().__init__(cfg)
        model, levels = cfg.MODEL, list(cfg.MODEL.LEVELS)
        if not levels or sorted(set(levels)) != levels:
            raise InputError(f"MODEL.LEVELS: {levels} is not ascending; give [3, 4, 5], for example")
        hidden, width = model.HEAD.NUM_CHANNELS, model.BACKBONE.WIDTH
        self.trunk_type: str = model.BACKBONE.TYPE
        self.neck: Neck | None = None
        if self.trunk_type == "alexnet":
            if levels != _ALEXNET_LEVELS:
                raise InputError(f"MODEL.LEVELS: {levels}; alexnet has {_ALEXNET_LEVELS}")
            self.backbone = AlexNetTrunk(width)
            names, inputs = ["conv5"], self.backbone.channels
        else:
            if self.trunk_type == "resnet50":
                self.backbone = ResNetTrunk(levels[-1], width, early=self.early)
                channels = {level: channels_of(level, width) for level in levels}
            else:
                self.backbone = MobileNetTrunk(levels[-1], width)
                channels = {level: scale(LAYERS[LEVELS[level] - 1].channels, width) for level in levels}
            self.neck, self.extra_cells = Neck(channels, hidden), 8
            names, inputs = [level_name(level) for level in levels], hidden
        self.rpn_head = DepthwiseRPN(names, inputs, hidden, len(self.anchor_shapes))
        self.training_rules = AnchorTraining.from_config(cfg, self.backbone.stages)

    def embed(self, template: Tensor, box: Tensor | None = None) -> Any:
        """template [B, 1, 3, 127, 127] -> Kernels; `box` is not used: the target is in the middle"""
        return Kernels(*self.rpn_head.make_kernels(self.features(template, template=True)))

    def forward(self, memory: Any, search: Tensor) -> Any:
        """Kernels and search [B, 1, 3, S, S] -> Prediction"""
        return Prediction(*self.rpn_head(self.features(search, template=False), memory.cls, memory.loc))

    def features(self, image: Tensor, *, template: bool) -> Sequence[Tensor]:
        """[B, 1, 3, S, S] -> of each level [B, C, f, f]; with a neck 7 x 7 of a template"""
        if self.neck is None:
            return [self.backbone(image[:, 0])]
        return self.neck(self.backbone(image), template=template)[:, :, 0].unbind(1)

    def fit(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights to start from: a tracker of pysot, or an ImageNet trunk of pysot or torchvision."""
        return siamrpnpp_names.start_weights(weights, self.state_dict())

    def timm_weights(self, cfg: EasyDict) -> dict[str, Tensor]:
        """torchvision's ImageNet weights of ResNet-50, downloaded. Raises InputError where that fails, and for another
        trunk."""
        return download_resnet() if self.trunk_type == "resnet50" else super().timm_weights(cfg)

    def watched(self) -> dict[str, Tensor]:
        """The shares of the levels."""
        head = self.rpn_head
        weights = {"cls_weight": head.cls_weight, "loc_weight": head.loc_weight}
        return {
            f"{name}.{k}": share
            for name, weight in weights.items()
            if weight is not None
            for k, share in enumerate(weight.detach().softmax(0))
        }
