"""From two frames to a template and a search region: jitter, crop, flip, brightness (OSTrack's recipe).

Both modalities of a frame share every geometric and photometric draw. S: side of a crop, pixels; M modalities.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from easydict import EasyDict

from ...core.crop import cut, padding_mask
from ...core.errors import InputError
from ...core.view import place_square
from ...datasets.image import choose_reduction
from ...datasets.sequence import Sequence
from .sampler import Pair

BRIGHTNESS = 0.2
FLIP = 0.5
_CELL = 16  # pixels; a crop is rejected if every 16th pixel in both directions is padding


class LabelledCrop(NamedTuple):
    """A crop and the box of its target."""

    image: np.ndarray  # [S, S, 3 M] uint8
    box: np.ndarray  # [4] xywh in units of S


class PairCrops(NamedTuple):
    """The crops of a pair."""

    template: LabelledCrop
    search: LabelledCrop
    others: np.ndarray | None = None  # [K, 4] other objects in the search region, NaN where there are fewer
    mask: np.ndarray | None = None  # [S, S] uint8, the target's pixels in the search region; None: no network asks
    has_mask: bool = False  # whether `mask` is known; otherwise it is all 0


@dataclass(frozen=True)
class CropRecipe:
    """Random changes of one kind of crop, template or search region."""

    factor: float  # side of the crop / sqrt(w h)
    size: int  # S
    center_jitter: float  # shift, uniform in +- half of this times sqrt(w h)
    scale_jitter: float  # standard deviation of the logarithm of the scale

    @classmethod
    def from_config(cls, section: EasyDict) -> "CropRecipe":
        """From DATA.TEMPLATE or DATA.SEARCH."""
        return cls(section.FACTOR, section.SIZE, section.CENTER_JITTER, section.SCALE_JITTER)

    def side(self, box: np.ndarray) -> float:
        """Side of the square that is cut around a box, in pixels of the frame; 0 for a box without area."""
        area = float(box[2] * box[3])
        return self.factor * math.sqrt(area) if area > 0 else 0.0


Read = Callable[[int], np.ndarray]  # reduction -> frame, [H / k, W / k, 3 M] uint8
ReadRow = Callable[[Sequence, int, int], np.ndarray]  # sequence, row of its annotation, reduction -> frame


@dataclass(frozen=True)
class JitteredCrops:
    """The crops of the OSTrack code base."""

    template: CropRecipe
    search: CropRecipe
    scaled: bool  # whether large frames are decoded at reduced size

    @classmethod
    def from_config(cls, cfg: EasyDict) -> "JitteredCrops":
        """From DATA."""
        template, search = CropRecipe.from_config(cfg.DATA.TEMPLATE), CropRecipe.from_config(cfg.DATA.SEARCH)
        return cls(template, search, cfg.DATA.SCALED_DECODE)

    def __call__(self, pair: Pair, read: ReadRow, rng: np.random.Generator) -> PairCrops | None:
        """The crops of a pair; None where one of them is rejected (see `draw_crop`)."""
        template = self._crop(pair.sequence, pair.template, self.template, read, rng)
        search = template and self._crop(pair.searched, pair.search, self.search, read, rng)
        return PairCrops(template, search) if template is not None and search is not None else None

    def _crop(
        self, sequence: Sequence, row: int, recipe: CropRecipe, read: ReadRow, rng: np.random.Generator
    ) -> LabelledCrop | None:
        frame = functools.partial(read, sequence, row)
        return draw_crop(frame, sequence.boxes[row], recipe, rng, scaled=self.scaled)


def draw_crop(
    read: Read, box: np.ndarray, recipe: CropRecipe, rng: np.random.Generator, *, scaled: bool = False
) -> LabelledCrop | None:
    """A jittered, flipped and brightened crop of a frame: box [4] xywh pixels.

    scaled: whether the frame is read reduced if its square is at least twice as large as the crop. None for a rejected
    draw: the target's centre is outside the crop, or the crop shows nothing of the image.
    The OSTrack code base flips both crops of a pair, and then each crop again; that equals one flip per crop.
    """
    around = jitter(box, recipe, rng)
    reduction = choose_reduction(recipe.side(around), recipe.size) if scaled else 1
    image = read(reduction)
    box, around = box / reduction, around / reduction
    try:
        shown = place_square(around, recipe.factor, recipe.size, image.shape[:2])
    except InputError:
        return None
    if padding_mask(shown, image.shape[:2])[::_CELL, ::_CELL].all():
        return None
    place = shown.to_crop(box)
    centre = place[:2] + place[2:] / 2
    if not ((centre >= 0) & (centre < 1)).all():
        return None
    pixels = cv2.convertScaleAbs(cut(image, shown), alpha=rng.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS))
    if rng.random() < FLIP:
        pixels = pixels[:, ::-1]
        place = np.array([1 - place[0] - place[2] - 1 / recipe.size, *place[1:]])
    return LabelledCrop(np.ascontiguousarray(pixels), place)


def jitter(box: np.ndarray, recipe: CropRecipe, rng: np.random.Generator) -> np.ndarray:
    """A random box near a box, around which a crop is cut: [4] xywh -> [4] xywh, pixels."""
    extent = box[2:] * np.exp(rng.standard_normal(2) * recipe.scale_jitter)
    reach = math.sqrt(extent.prod()) * recipe.center_jitter
    centre = box[:2] + box[2:] / 2 + reach * (rng.random(2) - 0.5)
    return np.concatenate([centre - extent / 2, extent])
