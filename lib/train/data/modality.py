"""The two streams of a training sample: where an infrared one is missing, and where one is taken away.

Both draws have generators of their own, so that switching one on changes no crop. S side of a crop, pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from easydict import EasyDict

from ...datasets.camera import ABSENT
from ...datasets.sequence import stack_modalities
from ...datasets.synthetic.thermal import invent_infrared
from .augment import View

_INFRARED, _DROPOUT = 1, 2  # they tell the generators of one sample from each other


@dataclass(frozen=True)
class Streams:
    """How a frame becomes the channels of a model, for one stage of a run."""

    modalities: int  # of the model
    generated: bool = False  # infrared for visible sets: generated instead of a grey copy
    dropout: float = 0.0  # probability that a sample loses one stream

    @classmethod
    def from_config(cls, cfg: EasyDict, modalities: int, *, stage: int) -> "Streams":
        """stage: 0 for training, 1 for validation, which takes no stream away. A model of one modality has no keys."""
        if modalities == 1:
            return cls(modalities)
        dropout = cfg.TRAIN.MODALITY_DROPOUT if stage == 0 else 0.0
        return cls(modalities, cfg.DATA.INFRARED == "generated", dropout)

    def stack(self, images: Sequence[np.ndarray], name: str, key: Sequence[int]) -> np.ndarray:
        """[H, W, 3 * modalities] uint8 of one frame; all frames of a sample `key` get one and the same heat."""
        if self.generated and len(images) == 1:
            images = [images[0], invent_infrared(np.random.default_rng([*key, _INFRARED]), images[0])]
        return stack_modalities(images, self.modalities, name)

    def drop(self, views: Sequence[View], key: Sequence[int]) -> Sequence[View]:
        """The views of a sample, [S, S, 6] each; with probability `dropout` visible or infrared, by a fair coin, is the
        absent stream in all of them: a sensor that fails shows neither template nor search region."""
        if not self.dropout:
            return views
        rng = np.random.default_rng([*key, _DROPOUT])
        if rng.random() >= self.dropout:
            return views
        lost = np.repeat(np.arange(2) == rng.integers(2), 3)
        return [View(np.where(lost, np.uint8(ABSENT), view.image), view.box) for view in views]
