"""From the frames of a set to square search regions, in which the target is somewhere, and proposals for its box (ATOM,
DiMP, PrDiMP). S side of a crop, pixels."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from easydict import EasyDict

from ...core.crop import cut
from ...core.errors import InputError
from ...core.view import View
from ...datasets.sequence import Sequence
from .augment import CropRecipe, LabelledCrop, ReadRow, jitter
from .proposals import DensityProposals, IoUProposals, Proposals, read_proposals


class CroppedSet(NamedTuple):
    """The crops of a set. Boxes are xywh, pixels of their crop."""

    train: list[LabelledCrop]
    test: list[LabelledCrop]
    proposals: list[Proposals]  # for each of `test`


@dataclass(frozen=True)
class SetCrops:
    """Every region is cut around a box that is shifted and scaled at random."""

    train: CropRecipe
    test: CropRecipe
    proposals: IoUProposals | DensityProposals
    grey: float  # share of grey sets
    brightness: float  # the images' values are multiplied by 1 +- this, each image's by its own
    flip: float  # share of mirrored sets
    most_change: float  # regions that leave the image are scaled down, at most by this, and moved inside; 1: neither

    @classmethod
    def from_config(cls, cfg: EasyDict) -> "SetCrops":
        """From DATA."""
        data = cfg.DATA
        search, frames = data.SEARCH, (data.TRAIN_FRAMES, data.TEST_FRAMES)
        train, test = (CropRecipe(search.FACTOR, search.SIZE, k.CENTER_JITTER, k.SCALE_JITTER) for k in frames)
        change = search.MAX_SCALE_CHANGE if search.BORDER == "inside_major" else 1.0
        return cls(train, test, read_proposals(cfg), data.GREY, data.BRIGHTNESS, data.FLIP, change)

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
        view = place_region(jitter(box, recipe, rng), recipe, image.shape[:2], self.most_change)
        pixels = cv2.convertScaleAbs(cut(image, view), alpha=rng.uniform(1 - self.brightness, 1 + self.brightness))
        scale = view.size[0] / np.array(view.extent)
        return LabelledCrop(pixels, np.concatenate([(box[:2] - view.corner) * scale, box[2:] * scale]))


def place_region(box: np.ndarray, recipe: CropRecipe, frame: tuple[int, int], most_change: float) -> View:
    """The square of `factor` times the square root of a box's area around it, its border repeated outside the image.

    frame: height and width; most_change: where the square leaves the image, it is scaled down by at most this until it
    fits into the image's longer side, then moved inside as far as possible (`inside_major` of PrDiMP). Raises
    InputError for a box without area.
    """
    side = recipe.side(box)
    if not (math.isfinite(side) and side > 0):
        raise InputError(f"box {box[2]:g}x{box[3]:g} has no area")
    size = np.array(frame[::-1])
    if most_change > 1:
        side /= min(max(side / size.max(), 1.0), most_change)
    whole = math.ceil(side)
    corner = np.rint(box[:2] + box[2:] / 2 - whole / 2).astype(int)
    if most_change > 1:
        room = size - whole  # negative where the image is smaller than the square, which then lies in the middle
        corner = np.where(room >= 0, np.clip(corner, 0, np.maximum(room, 0)), room // 2)
    scale = recipe.size / whole
    return View(box, (int(corner[0]), int(corner[1])), (whole, whole), (recipe.size, recipe.size), (scale, scale), None)


def _change(crop: LabelledCrop, *, grey: bool, mirrored: bool) -> LabelledCrop:
    image, box = crop.image, crop.box
    if grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if mirrored:
        image = np.ascontiguousarray(image[:, ::-1])
        box = np.array([image.shape[1] - box[0] - box[2], *box[1:]])
    return LabelledCrop(image, box)
