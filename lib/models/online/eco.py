"""ECO: continuous correlation filters on compressed features, learned online (Danelljan et al., CVPR 2017), with the
features of PyTracking's version.

B images, C channels, n cells on each side of a map, S side of an image.
"""

from typing import Any, ClassVar, NamedTuple

from easydict import EasyDict
from torch import Tensor

from ...layers.normalize import Normalize
from ...layers.trunks.eco_features import VGGMFirst, normalize_power, pool_halves
from ...layers.trunks.imagenet_resnet import ImageNetResNet
from ..base import ScoreMap
from ..method import Method
from .eco_method import ECOMethod
from .feature_network import FeatureNetwork

DEPTH, LAYER = 18, 3  # of the ResNet


class Maps(NamedTuple):
    """The features of an image, each with a mean square of 1."""

    shallow: Tensor  # [B, C, S / 4, S / 4]
    deep: Tensor  # [B, C, S / 16, S / 16]


class ECO(FeatureNetwork):
    """The two feature extractors of ECO. There is no learned head."""

    modalities = 1
    marks = ("vggmconv1.", "resnet.layer3.")
    dropped_keys = ("resnet.layer4.*", "fc.*")
    method_class: ClassVar[type[Method]] = ECOMethod

    def __init__(self, cfg: EasyDict):
        super().__init__()
        self.normalize = Normalize(cfg.DATA.MEAN, cfg.DATA.STD, self.modalities)
        self.vggmconv1 = VGGMFirst(cfg.MODEL.WIDTH)
        self.resnet = ImageNetResNet(DEPTH, last=LAYER, width=cfg.MODEL.WIDTH)

    def forward(self, memory: Any, search: Tensor) -> Maps:
        """search [B, 1, 3, S, S] normalised, in any precision -> Maps in float32. `memory` is not used."""
        image = search[:, 0].to(self.dtype)
        shallow = pool_halves(self.vggmconv1(image)).float()
        return Maps(normalize_power(shallow), normalize_power(self.resnet(image)[f"layer{LAYER}"].float()))

    def score_map(self, prediction: Any) -> ScoreMap | None:
        """The fused response, 0 to 1, around the middle of the search region; None before a target was looked for."""
        scores = getattr(prediction, "scores", None)
        return None if scores is None else ScoreMap(scores.clamp(0, 1), 0.0, 1 / scores.shape[-1])

    @classmethod
    def rename(cls, key: str) -> str:
        """The name that a key of the published file has here: there the ResNet's lack `resnet.`."""
        return f"resnet.{key}" if key.startswith(("conv1.", "bn1.", "layer")) else key
