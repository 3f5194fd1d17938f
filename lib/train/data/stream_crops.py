"""From two frames of two cameras to a template and a search region, each camera cut around its own box (SiamDMA).

Both cameras have the same random shift and stretch, but for a little misregistration, and colours of their own. S side
of a crop, pixels.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import cv2
import numpy as np
from easydict import EasyDict

from ...core.view import INTERMEDIATE, mean_colour
from ...core.warp import warp_region
from ...datasets.sequence import Sequence
from ...datasets.usable import LEAST_INSIDE, inside_share
from .augment import LabelledCrop, PairCrops, ReadRow
from .context import COLOURS, ContextCrops, ContextRecipe, mirror, shift_colours, to_units, without_colours
from .degradation import degrade
from .sampler import Pair


class Shot(NamedTuple):
    """One frame, or the crops around its target."""

    images: list[np.ndarray]  # visible and infrared, [H, W, 3] uint8
    boxes: np.ndarray  # [2, 4] xywh pixels, of the target in each
    place: np.ndarray  # [4] xywh pixels of the frame that the visible image shows


@dataclass(frozen=True)
class StreamCrops(ContextCrops):
    """As `ContextCrops`, for two cameras."""

    stream_shift: float = 0.0  # misregistration, share of a recipe's shift
    shared_blur: float = 1.0  # share of the search regions whose cameras have the same blur
    degradation: float = 0.0  # share of the positive pairs with a camera that is dark or bright

    least_side: ClassVar[float] = 5.0  # pixels of a box, in both images
    blur_sides: ClassVar[tuple[int, int]] = (5, 33)  # pixels of the kernels

    @classmethod
    def from_config(cls, cfg: EasyDict) -> "StreamCrops":
        """From DATA, and TEST.CONTEXT, the context in tracking."""
        data = cfg.DATA
        template, search = ContextRecipe.from_config(data.TEMPLATE), ContextRecipe.from_config(data.SEARCH)
        plain = (cfg.TEST.CONTEXT, template, search, data.GREY, data.FLIP)
        return cls(*plain, data.STREAM_SHIFT, data.SHARED_BLUR, data.DEGRADATION)

    def __call__(self, pair: Pair, read: ReadRow, rng: np.random.Generator) -> PairCrops | None:
        """The crops of a pair; None when a box is tiny or lies mostly outside its image."""
        shots = [self._shoot(pair.sequence, pair.template, read), self._shoot(pair.searched, pair.search, read)]
        if not all(self._usable(shot) for shot in shots):
            return None
        if pair.found is None and rng.random() < self.degradation:
            near = [self._close_up(shot) for shot in shots]
            worse = degrade(rng, [shot.images for shot in near])
            shots = [shot._replace(images=images) for shot, images in zip(near, worse, strict=True)]
        between = rng.uniform(-1, 1, 2) * self.stream_shift
        grey, mirrored = rng.random() < self.grey, rng.random() < self.flip
        template, _ = self._cut(shots[0], self.template, between, rng)
        search, region = self._cut(shots[1], self.search, between, rng)
        crops = PairCrops(template, search, self._others(pair, region))
        crops = without_colours(crops) if grey else crops
        return mirror(crops) if mirrored else crops

    def _shoot(self, sequence: Sequence, row: int, read: ReadRow) -> Shot:
        image = read(sequence, row, 1)
        own = sequence.boxes if sequence.boxes_infrared is None else sequence.boxes_infrared
        boxes = np.stack([sequence.boxes[row], own[row]])
        return Shot([image[..., :3], image[..., 3:]], boxes, np.array([0.0, 0.0, *image.shape[1::-1]]))

    def _usable(self, shot: Shot) -> bool:
        inside = inside_share(np.nan_to_num(shot.boxes), shot.place)
        return bool((shot.boxes[:, 2:] > self.least_side).all() and (inside >= LEAST_INSIDE).all())

    def _close_up(self, shot: Shot) -> Shot:
        """The intermediate crops, in which each target is in the middle."""
        images, boxes, places = [], [], []
        for image, box in zip(shot.images, shot.boxes, strict=True):
            scale = self._scale(box, self.template)
            region = np.concatenate(
                [box[:2] + box[2:] / 2 - INTERMEDIATE / scale / 2, np.full(2, INTERMEDIATE / scale)]
            )
            images.append(warp_region(image, region, INTERMEDIATE, mean_colour(image)))
            boxes.append(np.concatenate([(INTERMEDIATE - box[2:] * scale) / 2, box[2:] * scale]))
            places.append(region)
        return Shot(images, np.stack(boxes), places[0])

    def _cut(
        self, shot: Shot, recipe: ContextRecipe, between: np.ndarray, rng: np.random.Generator
    ) -> tuple[LabelledCrop, np.ndarray]:
        """The crop of both cameras, and the region of the frame that the visible one shows. between: [2] how far the
        infrared region lies from the visible one, as a share of the recipe's shift."""
        draw = recipe.draw(rng)
        kernels = self._kernels(recipe, rng)
        crops, regions = [], []
        for stream, (image, box, kernel) in enumerate(zip(shot.images, shot.boxes, kernels, strict=True)):
            own = draw._replace(shift=draw.shift + stream * between)
            region = recipe.place(box, self._scale(box, recipe), own)
            shown = np.concatenate([region[:2] - self.corner_bias, region[2:]])
            pixels = warp_region(image, shown, recipe.size, mean_colour(image))
            if rng.random() < recipe.colour:
                offset = COLOURS @ rng.standard_normal(3)
                pixels = shift_colours(pixels, np.full(3, offset.mean()) if stream else offset)
            crops.append(pixels if kernel is None else cv2.filter2D(pixels, -1, kernel))
            regions.append(region)
        scale = shot.place[2:] / np.array(shot.images[0].shape[1::-1])
        seen = np.concatenate([shot.place[:2] + regions[0][:2] * scale, regions[0][2:] * scale])
        place = to_units(shot.boxes[:1], regions[0])[0]
        return LabelledCrop(np.concatenate(crops, axis=2), place), seen

    def _kernels(self, recipe: ContextRecipe, rng: np.random.Generator) -> list[np.ndarray | None]:
        """The blur of each camera; None for none."""
        first = recipe.draw_kernel(rng, self.blur_sides)
        return [first, first if rng.random() < self.shared_blur else recipe.draw_kernel(rng, self.blur_sides)]
