"""RT-MDNet: a dense map of a scene, RoIAlign for its candidates, a classifier learned online (Jung et al., ECCV 2018).

B scenes, C channels, K boxes, D = 9 C features of a box.
"""

from typing import Any, ClassVar, NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor

from ...layers.normalize import Centred
from ...layers.roi_align import pool_boxes
from ...layers.trunks.mdnet import FIELD, STRIDE, HeadWeights, MDNetLayers, first_weights
from ..method import Method
from .feature_network import FeatureNetwork
from .rt_mdnet_method import RTMDNetMethod

BRANCH_DEVIATION = 0.01  # of the first weights of a target's branch


class SceneMap(NamedTuple):
    """What the network computes from an image."""

    features: Tensor  # [B, C, f, f]


class RTMDNet(FeatureNetwork):
    """Shared layers of RT-MDNet. The binary branch is made anew for each target."""

    modalities = 1
    marks = ("layers.fc4.", "layers.fc5.")
    dropped_keys = ("branches.*",)
    precise = ("layers.fc*",)
    method_class: ClassVar[type[Method]] = RTMDNetMethod

    def __init__(self, cfg: EasyDict):
        super().__init__()
        self.normalize = Centred()
        self.adaptive: bool = cfg.MODEL.ROI_ALIGN == "adaptive"
        self.layers = MDNetLayers(cfg.MODEL.WIDTH)

    def forward(self, memory: Any, search: Tensor) -> SceneMap:
        """search [B, 1, 3, S, S] -> SceneMap. `memory` is not used."""
        return SceneMap(self.layers(search[:, 0]))

    def describe(self, features: Tensor, boxes: Tensor) -> Tensor:
        """The features of boxes: map [1, C, h, w], boxes [K, 4] x1 y1 x2 y2 in its image's pixels -> [K, D].

        The receptive field is subtracted from the far edge, which stays at least a pixel behind the near one.
        """
        near, far = boxes[:, :2], boxes[:, 2:]
        cells = torch.cat([near, torch.maximum(far - FIELD, near + 1)], dim=1)
        return pool_boxes(features, cells, 1 / STRIDE, self.adaptive).flatten(1)

    def first_weights(self, generator: torch.Generator) -> HeadWeights:
        """The fully connected layers that a new target begins with."""
        return first_weights(self.layers, BRANCH_DEVIATION, generator)

    @classmethod
    def rename(cls, key: str) -> str:
        """The name that a key of the published file has here: there it lacks `layers.`."""
        return f"layers.{key}" if key.partition(".")[0] in ("conv1", "conv2", "conv3", "fc4", "fc5") else key
