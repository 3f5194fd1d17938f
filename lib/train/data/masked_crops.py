"""From two frames to a template and a search region with the target's mask: of a multiple of a box in width and height
(Alpha-Refine, CVPR 2021), or with context (SiamMask, CVPR 2019). S side of a crop, pixels."""

from dataclasses import dataclass

import cv2
import numpy as np
from easydict import EasyDict

from ...core.boxes import xywh_to_xyxy, xyxy_to_xywh
from ...core.crop import cut
from ...core.errors import InputError
from ...core.view import BLACK, View, place_stretched
from ...core.warp import warp_region
from ...datasets.sequence import Sequence
from .augment import CropRecipe, LabelledCrop, PairCrops, ReadRow, jitter
from .context import ContextCrops, without_colours
from .sampler import Pair


@dataclass(frozen=True)
class MaskedCrops:
    """The crops of the refiner. The template's box is the true one; the search region is cut around a box that is
    shifted and stretched, as the boxes of other trackers are."""

    template: CropRecipe
    search: CropRecipe
    grey: float  # share of grey pairs
    brightness: float  # the images' values are multiplied by 1 +- this, each image's by its own
    blind: int = 1  # last columns and rows of the frame that are blank, as in the published tracker

    @classmethod
    def from_config(cls, cfg: EasyDict) -> "MaskedCrops":
        """From DATA, and TEST.BLANK_BORDER, as it is in tracking."""
        data = cfg.DATA
        template, search = CropRecipe.from_config(data.TEMPLATE), CropRecipe.from_config(data.SEARCH)
        return cls(template, search, data.GREY, data.BRIGHTNESS, int(cfg.TEST.BLANK_BORDER))

    def __call__(self, pair: Pair, read: ReadRow, rng: np.random.Generator) -> PairCrops:
        """The crops of a pair."""
        first = read(pair.sequence, pair.template, 1)
        second = first if pair.search == pair.template else read(pair.sequence, pair.search, 1)
        grey = rng.random() < self.grey
        template, _ = self._cut(first, pair.sequence.boxes[pair.template], self.template, rng)
        search, view = self._cut(second, pair.sequence.boxes[pair.search], self.search, rng)
        mask = cut_mask(pair.sequence, pair.search, view, second.shape[:2])
        blank = np.zeros(search.image.shape[:2], np.uint8)
        crops = PairCrops(template, search, mask=blank if mask is None else mask, has_mask=mask is not None)
        return without_colours(crops) if grey else crops

    def _cut(
        self, image: np.ndarray, box: np.ndarray, recipe: CropRecipe, rng: np.random.Generator
    ) -> tuple[LabelledCrop, View]:
        around = jitter(box, recipe, rng)
        view = place_stretched(around, recipe.factor, recipe.size, BLACK, rounding=np.ceil, blind=self.blind)
        pixels = cv2.convertScaleAbs(cut(image, view), alpha=rng.uniform(1 - self.brightness, 1 + self.brightness))
        place = xyxy_to_xywh(np.clip(xywh_to_xyxy(view.to_crop(box)), 0, 1))
        return LabelledCrop(pixels, place), view


def cut_mask(sequence: Sequence, row: int, view: View, frame: tuple[int, int]) -> np.ndarray | None:
    """The target's mask as a view shows it, [S, S] uint8; None where the sequence has no masks.

    frame: height and width of the image. Raises InputError for a mask of another size.
    """
    whole = read_mask(sequence, row, frame)
    if whole is None:
        return None
    pixels = cut(whole[..., None], view)
    return np.ascontiguousarray(pixels.reshape(pixels.shape[:2]))


def read_mask(sequence: Sequence, row: int, frame: tuple[int, int]) -> np.ndarray | None:
    """The target's mask, [H, W] uint8; None where the sequence has no masks. Raises InputError for one of another size
    than the frame's."""
    if sequence.masks is None:
        return None
    whole = sequence.masks[sequence.frame_of(row)]
    if whole.shape != frame:
        shown = f"mask is {whole.shape[1]}x{whole.shape[0]}, image {frame[1]}x{frame[0]}"
        raise InputError(f"{sequence.name}: frame {sequence.frame_of(row) + 1}: {shown}; the two must be equal")
    return whole


class MaskedContextCrops(ContextCrops):
    """The crops of Siamese trackers, and the target's mask in the search region (SiamMask, CVPR 2019). A negative pair
    has none, since its region shows another object."""

    def _mask(self, pair: Pair, region: np.ndarray, frame: tuple[int, int]) -> tuple[np.ndarray | None, bool]:
        whole = read_mask(pair.sequence, pair.search, frame) if pair.found is None else None
        if whole is None:
            return np.zeros((self.search.size,) * 2, np.uint8), False
        shown = np.concatenate([region[:2] - self.corner_bias, region[2:]])
        return warp_region(whole[..., None], shown, self.search.size, np.zeros(1, np.uint8))[..., 0], True
