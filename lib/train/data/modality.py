"""The two streams of a training sample: infrared for visible data sets, and modality dropout.

Both have their own random generators, so that switching one on changes no crop. S: side of a crop, pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from easydict import EasyDict

from ...datasets.camera import ABSENT
from ...datasets.sequence import stack_modalities
from ...datasets.synthetic.thermal import invent_infrared
from .augment import LabelledCrop

_INFRARED, _DROPOUT = 1, 2  # last part of the seeds of a sample's two generators


@dataclass(frozen=True)
class StreamRules:
    """How the images of a frame become the channels of a network, in training or in validation."""

    modalities: int  # of the network
    generated: bool = False  # infrared of visible sets is generated, not a grey copy
    dropout: float = 0.0  # probability that a sample loses one stream

    @classmethod
    def from_config(cls, cfg: EasyDict, modalities: int, *, stage: int) -> "StreamRules":
        """stage: 0 for training, 1 for validation, which has no dropout. One modality has no such keys."""
        if modalities == 1:
            return cls(modalities)
        dropout = cfg.TRAIN.MODALITY_DROPOUT if stage == 0 else 0.0
        return cls(modalities, cfg.DATA.INFRARED == "generated", dropout)

    def stack(self, images: Sequence[np.ndarray], name: str, key: Sequence[int]) -> np.ndarray:
        """The images of one frame as [H, W, 3 * modalities] uint8; name: of the sequence, for messages; key: of the
        sample; all its frames get the same generated temperatures."""
        if self.generated and len(images) == 1:
            images = [images[0], invent_infrared(np.random.default_rng([*key, _INFRARED]), images[0])]
        return stack_modalities(images, self.modalities, name)

    def drop(self, crops: Sequence[LabelledCrop], key: Sequence[int]) -> Sequence[LabelledCrop]:
        """The crops of a sample, [S, S, 6] each. With probability `dropout` one stream, visible or infrared with equal
        probability, is absent in all of them, as if that camera failed."""
        if not self.dropout:
            return crops
        rng = np.random.default_rng([*key, _DROPOUT])
        if rng.random() >= self.dropout:
            return crops
        lost = np.repeat(np.arange(2) == rng.integers(2), 3)
        return [LabelledCrop(np.where(lost, np.uint8(ABSENT), crop.image), crop.box) for crop in crops]
