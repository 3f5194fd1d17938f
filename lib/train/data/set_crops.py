"""From the frames of a set to square search regions, in which the target is somewhere, and proposals for its box (ATOM,
DiMP, PrDiMP). S side of a crop, pixels."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from easydict import EasyDict

from ...core.crop import cut
from ...core.sample_view import REPEAT, place_sample
from ...datasets.sequence import Sequence
from .augment import CropRecipe, LabelledCrop, ReadRow, jitter
from .proposals import DensityProposals, IoUProposals, Proposals, read_proposals


class CroppedSet(NamedTuple):
    """The crops of a set. Boxes are xywh, pixels of their crop."""

    train: list[LabelledCrop]
    test: list[LabelledCrop]
    proposals: list[Proposals]  # for each of `test`


#: Labels are counted from the middle of the first pixel, as in the published trackers' training; tracking reads
#: the boxes of IoU-Net the same way.
FIRST_PIXEL = np.array([0.5, 0.5, 0.0, 0.0])


@dataclass(frozen=True)
class SetCrops:
    """Every region is cut around a box that is shifted and scaled at random."""

    train: CropRecipe
    test: CropRecipe
    proposals: IoUProposals | DensityProposals
    grey: float  # share of grey sets
    brightness: float  # the images' values are multiplied by 1 +- this, each image's by its own
    flip: float  # share of mirrored sets
    border: str = REPEAT  # what regions do at the image's border, as in tracking
    shrinking: float = 1.0  # INSIDE: they shrink at most by this

    @classmethod
    def from_config(cls, cfg: EasyDict) -> "SetCrops":
        """From DATA, and TEST.BORDER and TEST.MOST_SHRINKING, as in tracking."""
        data = cfg.DATA
        search, frames = data.SEARCH, (data.TRAIN_FRAMES, data.TEST_FRAMES)
        train, test = (CropRecipe(search.FACTOR, search.SIZE, k.CENTER_JITTER, k.SCALE_JITTER) for k in frames)
        photos = data.GREY, data.BRIGHTNESS, data.FLIP
        return cls(train, test, read_proposals(cfg), *photos, cfg.TEST.BORDER, cfg.TEST.MOST_SHRINKING)

    def __call__(
        self, sequence: Sequence, train: tuple[int, ...], test: tuple[int, ...], read: ReadRow, rng: np.random.Generator
    ) -> CroppedSet:
        """The crops of rows of a sequence, grey and mirrored all or none."""
        images = {row: read(sequence, row, 1) for row in {*train, *test}}
        grey, mirrored = rng.random() < self.grey, rng.random() < self.flip
        parts: list[list[LabelledCrop]] = [[], []]
        for part, rows, recipe in zip(parts, (train, test), (self.train, self.test), strict=True):
            for row in rows:
                crop = self._cut(images[row], sequence.boxes[row], recipe, rng)
                part.append(_change(crop, grey=grey, mirrored=mirrored))
        return CroppedSet(parts[0], parts[1], [self.proposals.draw(rng, crop.box) for crop in parts[1]])

    def _cut(self, image: np.ndarray, box: np.ndarray, recipe: CropRecipe, rng: np.random.Generator) -> LabelledCrop:
        around = jitter(box, recipe, rng)
        view = place_sample(
            around, recipe.side(around), recipe.size, image.shape[:2], border=self.border, shrinking=self.shrinking
        )
        pixels = cv2.convertScaleAbs(cut(image, view), alpha=rng.uniform(1 - self.brightness, 1 + self.brightness))
        return LabelledCrop(pixels, view.to_crop(box) * recipe.size - FIRST_PIXEL)


def _change(crop: LabelledCrop, *, grey: bool, mirrored: bool) -> LabelledCrop:
    image, box = crop.image, crop.box
    if grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if mirrored:
        image = np.ascontiguousarray(image[:, ::-1])
        box = np.array([image.shape[1] - 1 - box[0] - box[2], *box[1:]])
    return LabelledCrop(image, box)
