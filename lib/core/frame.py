"""One frame of a video, as a tracker reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Images = Sequence[np.ndarray]  # one frame: [H, W, 3] uint8 RGB per modality


VISIBLE, INFRARED = "visible", "infrared"
GREY_COPY, BLACK = "grey copy", "black"  # what stands in for a missing infrared image
#: the same, as a line for the user
NO_INFRARED = {
    GREY_COPY: "there is no infrared stream; a grey copy of the visible one stands in for it",
    BLACK: "there is no infrared stream; black stands in for it",
}


class Streams(NamedTuple):
    """The images of a frame that a tracker reads."""

    modalities: int = 2  # 1, or 2 for visible and infrared
    single: str = VISIBLE  # the stream that is read where `modalities` is 1 and a frame has both
    missing: str = GREY_COPY  # what a tracker with two modalities reads where a frame has no infrared image
    own_boxes: bool = False  # whether a new target may have a first box in each image, [M, 4], instead of one, [4]


@dataclass(frozen=True, eq=False)
class Frame:
    """The images of a tracker's modalities, equal in size."""

    images: list[np.ndarray]  # M times [h, w, 3] uint8 RGB
    size: tuple[int, int]  # height and width of the full frame, pixels
    reduction: int = 1  # factor by which the images are smaller than the frame (lib.datasets.image)
