"""One frame of a video, as a tracker reads it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Images = Sequence[np.ndarray]  # one frame: [H, W, 3] uint8 RGB per modality


@dataclass(frozen=True, eq=False)
class Frame:
    """The images of a tracker's modalities, equal in size."""

    images: list[np.ndarray]  # M times [h, w, 3] uint8 RGB
    size: tuple[int, int]  # height and width of the full frame, pixels
    reduction: int = 1  # factor by which the images are smaller than the frame (lib.datasets.image)
