"""From two frames to a template and a search region with context (SiamFC), which are shifted, stretched, blurred and
changed in colour (DaSiamRPN, ECCV 2018). S side of a crop, pixels.

Every crop is a part of the intermediate crop: 511 pixels around the target, at the scale of its template. The
intermediate crop is never made, so that pixels are interpolated once.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import cv2
import numpy as np
from easydict import EasyDict

from ...core.view import EXEMPLAR, INTERMEDIATE, context_side, mean_colour
from ...core.warp import warp_region
from ...datasets.usable import LEAST_INSIDE, inside_share
from .augment import LabelledCrop, PairCrops, ReadRow
from .blur import CROSS, cross_kernel, motion_kernel
from .sampler import Pair

MOST_OTHERS = 8  # other objects in a search region that a sample lists: the nearest to its centre
#: Directions (RGB) in which the colours of natural images vary; as in the public recipes
COLOURS = np.array(
    [
        [-0.55919361, 0.98062831, -0.41940627],
        [1.72091413, 0.19879334, -1.82968581],
        [4.64467907, 4.73710203, 4.88324118],
    ]
)


@dataclass(frozen=True)
class ContextRecipe:
    """Random changes of one kind of crop, template or search region. Shares are probabilities."""

    size: int  # S
    shift: float  # pixels of the crop, uniform in both directions
    scale: float  # the sides are stretched by 1 +- this, independently
    blur: float  # share with a cross-shaped blur
    motion_blur: float  # share of the others with a linear blur
    colour: float  # share with shifted colours

    @classmethod
    def from_config(cls, section: EasyDict) -> "ContextRecipe":
        """From DATA.TEMPLATE or DATA.SEARCH."""
        return cls(section.SIZE, section.SHIFT, section.SCALE, section.BLUR, section.MOTION_BLUR, section.COLOR)

    def draw(self, rng: np.random.Generator) -> "RegionDraw":
        """Where the next region lies."""
        return RegionDraw(rng.uniform(-self.scale, self.scale, 2), rng.uniform(-1, 1, 2))

    def place(self, box: np.ndarray, scale: float | np.ndarray, draw: "RegionDraw") -> np.ndarray:
        """The part of the image that is cut around a box, both [4] xywh pixels. scale: crop pixels per image pixel, for
        both directions or [2] for each."""
        extent = np.minimum(self.size * (1 + draw.stretch), INTERMEDIATE)
        most = (INTERMEDIATE - extent) / 2
        shift = np.clip(draw.shift * np.minimum(most, self.shift), -most, most)
        centre = box[:2] + box[2:] / 2 + shift / scale
        return np.concatenate([centre - extent / scale / 2, extent / scale])

    def draw_kernel(self, rng: np.random.Generator, sides: tuple[int, int] = CROSS) -> np.ndarray | None:
        """The next kernel that blurs; None for none. sides: range of a cross-shaped kernel's."""
        if rng.random() < self.blur:
            return cross_kernel(rng, sides)
        return motion_kernel(rng) if rng.random() < self.motion_blur else None

    def change_pixels(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Shift colours and blur: [S, S, 3 M] uint8 -> the same. Only the visible stream changes in colour."""
        if rng.random() < self.colour:
            pixels = shift_colours(pixels, COLOURS @ rng.standard_normal(3))
        kernel = self.draw_kernel(rng)
        return pixels if kernel is None else cv2.filter2D(pixels, -1, kernel)


class RegionDraw(NamedTuple):
    """Random numbers of a region."""

    stretch: np.ndarray  # [2] of its sides, added to 1
    shift: np.ndarray  # [2] in [-1, 1], share of the largest one


@dataclass(frozen=True)
class ContextCrops:
    """The crops of Siamese trackers."""

    context: float  # share of (w + h) that is added to both sides of a box, as in tracking
    template: ContextRecipe
    search: ContextRecipe
    grey: float  # share of grey pairs
    flip: float  # share of mirrored pairs

    #: Tracking rounds the corner of its squares, so that on average they are this number of pixels too far up and left,
    #: but reads boxes as if they were centred. Crops and boxes here do the same.
    corner_bias: ClassVar[float] = 0.5

    @classmethod
    def from_config(cls, cfg: EasyDict) -> "ContextCrops":
        """From DATA, and TEST.CONTEXT, the context in tracking."""
        template, search = ContextRecipe.from_config(cfg.DATA.TEMPLATE), ContextRecipe.from_config(cfg.DATA.SEARCH)
        return cls(cfg.TEST.CONTEXT, template, search, cfg.DATA.GREY, cfg.DATA.FLIP)

    def __call__(self, pair: Pair, read: ReadRow, rng: np.random.Generator) -> PairCrops | None:
        """The crops of a pair; None when a box lies mostly outside its image."""
        first = read(pair.sequence, pair.template, 1)
        same = pair.found is None and pair.search == pair.template
        second = first if same else read(pair.searched, pair.search, 1)
        boxes = pair.sequence.boxes[pair.template], pair.searched.boxes[pair.search]
        for image, box in zip((first, second), boxes, strict=True):
            if inside_share(box[None], np.array([0, 0, *image.shape[1::-1]]))[0] < LEAST_INSIDE:
                return None
        grey, mirrored = rng.random() < self.grey, rng.random() < self.flip
        template, _ = self._crop(first, boxes[0], self.template, rng)
        search, region = self._crop(second, boxes[1], self.search, rng)
        mask, known = self._mask(pair, region, second.shape[:2])
        crops = PairCrops(template, search, self._others(pair, region), mask, known)
        crops = without_colours(crops) if grey else crops
        return mirror(crops) if mirrored else crops

    def _crop(
        self, image: np.ndarray, box: np.ndarray, recipe: ContextRecipe, rng: np.random.Generator
    ) -> tuple[LabelledCrop, np.ndarray]:
        """A crop, and the region of the image that it shows."""
        region = recipe.place(box, self._scale(box, recipe), recipe.draw(rng))
        shown = np.concatenate([region[:2] - self.corner_bias, region[2:]])
        pixels = warp_region(image, shown, recipe.size, mean_colour(image))
        return LabelledCrop(recipe.change_pixels(pixels, rng), to_units(box[None], region)[0]), region

    def _scale(self, box: np.ndarray, recipe: ContextRecipe) -> float | np.ndarray:
        """Crop pixels per image pixel: one number, or [2] for x and y."""
        return EXEMPLAR / context_side(box, self.context)

    def _mask(self, pair: Pair, region: np.ndarray, frame: tuple[int, int]) -> tuple[np.ndarray | None, bool]:
        """`mask` and `has_mask` of PairCrops; region: of the search frame that the crop shows; frame: its height and
        width."""
        return None, False

    def _others(self, pair: Pair, region: np.ndarray) -> np.ndarray:
        """[MOST_OTHERS, 4] other objects whose centre is in the search region; NaN where there are fewer, and for
        negative pairs."""
        found = np.full((MOST_OTHERS, 4), np.nan)
        objects = pair.sequence.objects
        if pair.found is None and objects is not None:
            boxes = to_units(objects.others(pair.sequence.frame_of(pair.search)), region)
            distance = abs(boxes[:, :2] + boxes[:, 2:] / 2 - 0.5).max(1)
            near = np.argsort(distance, kind="stable")[: min(MOST_OTHERS, int((distance < 0.5).sum()))]
            found[: len(near)] = boxes[near]
        return found


def to_units(boxes: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Boxes in units of the sides of a region: [N, 4], [4] xywh pixels -> [N, 4] xywh."""
    return np.concatenate([(boxes[:, :2] - region[:2]) / region[2:], boxes[:, 2:] / region[2:]], axis=1)


def shift_colours(pixels: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Subtract an offset [3] from the first three channels of [S, S, 3 M] uint8."""
    shifted = pixels.copy()
    shifted[..., :3] = np.clip(pixels[..., :3] - offset, 0, 255).astype(np.uint8)
    return shifted


def without_colours(crops: PairCrops) -> PairCrops:
    """The pair with a grey copy of the visible images."""

    def grey(crop: LabelledCrop) -> LabelledCrop:
        plane = cv2.cvtColor(np.ascontiguousarray(crop.image[..., :3]), cv2.COLOR_RGB2GRAY)
        return crop._replace(
            image=np.concatenate([np.repeat(plane[..., None], 3, axis=2), crop.image[..., 3:]], axis=2)
        )

    return crops._replace(template=grey(crops.template), search=grey(crops.search))


def mirror(crops: PairCrops) -> PairCrops:
    """The pair with left and right exchanged."""

    def turn(boxes: np.ndarray) -> np.ndarray:
        return np.concatenate([1 - boxes[..., :1] - boxes[..., 2:3], boxes[..., 1:]], axis=-1)

    template, search = (
        LabelledCrop(np.ascontiguousarray(crop.image[:, ::-1]), turn(crop.box))
        for crop in (crops.template, crops.search)
    )
    others = None if crops.others is None else turn(crops.others)
    mask = None if crops.mask is None else np.ascontiguousarray(crops.mask[:, ::-1])
    return PairCrops(template, search, others, mask, crops.has_mask)
