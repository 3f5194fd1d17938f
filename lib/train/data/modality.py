"""The two streams of a training sample: what stands in for a missing one, misregistration, faults, dropout.

Each has its own random generator, so that switching one on changes no crop. S: side of a crop, pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from easydict import EasyDict

from ...core.frame import INFRARED, VISIBLE
from ...datasets.camera import ABSENT
from ...datasets.sequence import stack_modalities
from ...datasets.synthetic.thermal import invent_infrared
from .augment import LabelledCrop
from .faults import BROKEN, draw_fault, harm

_INFRARED, _DROPOUT, _SHIFT, _BROKEN, _FAULT = 1, 2, 3, 4, 5  # last part of the seeds of a sample's generators


@dataclass(frozen=True)
class StreamRules:
    """How the images of a frame become the channels of a network, in training or in validation."""

    modalities: int  # of the network
    missing: str = "grey"  # the other stream of sets with one: of DATA.INFRARED
    dropout: float = 0.0  # probability that a sample loses one stream
    shift: float = 0.0  # pixels by which the infrared image of two is shifted, at most, in both directions
    shifted: float = 1.0  # share of the samples in which it is shifted
    faults: float = 0.0  # probability that one stream gets worse
    template_faults: float = 0.0  # probability that the template has the same fault

    @classmethod
    def from_config(cls, cfg: EasyDict, modalities: int, *, stage: int) -> "StreamRules":
        """stage: 0 for training, 1 for validation, which has no dropout. One modality has no such keys."""
        if modalities == 1:
            return cls(modalities)
        data, dropout = cfg.DATA, cfg.TRAIN.MODALITY_DROPOUT if stage == 0 else 0.0
        shift, faults = (data.MISREGISTRATION, data.MISREGISTERED), (data.FAULTS, data.TEMPLATE_FAULTS)
        return cls(modalities, data.INFRARED, dropout, *shift, *faults)

    def stack(self, images: Sequence[np.ndarray], streams: Sequence[str], name: str, key: Sequence[int]) -> np.ndarray:
        """The images of one frame as [H, W, 3 * modalities] uint8.

        streams: what the images are; name: of the sequence, for messages; key: of the sample, all of whose frames get
        the same generated temperatures and the same shift.
        """
        if self.modalities == 2 and len(images) == 1:
            images = self._complete(images[0], streams[0], key)
        elif self.shift and self.modalities == 2:
            rng = np.random.default_rng([*key, _SHIFT])
            reach = rng.uniform(-self.shift, self.shift, 2)
            if rng.random() < self.shifted:
                images = [images[0], _moved(images[1], reach)]
        return stack_modalities(images, self.modalities, name)

    def change(self, crops: Sequence[LabelledCrop], key: Sequence[int]) -> Sequence[LabelledCrop]:
        """Template and search region of a pair, [S, S, 3 * modalities] each, with faults, or without a stream."""
        if self.faults and self.modalities == 2:
            rng = np.random.default_rng([*key, _FAULT])
            if rng.random() < self.faults:
                template, search = crops
                images = harm(rng, template.image, search.image, self.template_faults)
                crops = [crop._replace(image=image) for image, crop in zip(images, crops, strict=True)]
        return self._drop(crops, key)

    def _complete(self, image: np.ndarray, stream: str, key: Sequence[int]) -> Sequence[np.ndarray]:
        """Both streams of a frame that has one."""
        if self.missing == "generated" and stream == VISIBLE:
            return [image, invent_infrared(np.random.default_rng([*key, _INFRARED]), image)]
        if self.missing == "failed":
            rng = np.random.default_rng([*key, _BROKEN])
            other = draw_fault(rng, BROKEN)(rng, _square(image))[: image.shape[0], : image.shape[1]]
            return [other, image] if stream == INFRARED else [image, other]
        return [image, image] if stream == INFRARED else [image]

    def _drop(self, crops: Sequence[LabelledCrop], key: Sequence[int]) -> Sequence[LabelledCrop]:
        """With probability `dropout` one stream, visible or infrared with equal probability, is absent in all crops,
        as if that camera failed."""
        if not self.dropout:
            return crops
        rng = np.random.default_rng([*key, _DROPOUT])
        if rng.random() >= self.dropout:
            return crops
        lost = np.repeat(np.arange(2) == rng.integers(2), 3)
        return [crop._replace(image=np.where(lost, np.uint8(ABSENT), crop.image)) for crop in crops]


def _moved(image: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The image moved by [2] x and y pixels; its border is repeated."""
    matrix = np.array([[1, 0, step[0]], [0, 1, step[1]]])
    return cv2.warpAffine(image, matrix, image.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _square(image: np.ndarray) -> np.ndarray:
    """The image, its border repeated to a square."""
    side = max(image.shape[:2])
    return cv2.copyMakeBorder(image, 0, side - image.shape[0], 0, side - image.shape[1], cv2.BORDER_REPLICATE)
