"""Pictures of textured rectangles, few enough to be learned by heart."""

import cv2
import numpy as np
import torch

from lib.models.base import PairBatch


def picture(rng, size, centre, extent, texture):
    """A textured rectangle on blurred noise: [size, size, 3] uint8; centre and extent: x y, pixels."""
    noise = rng.integers(0, 256, (size, size, 3)).astype(np.uint8)
    image = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 6), None, 0, 255, cv2.NORM_MINMAX)
    x, y = np.round(np.array(centre) - np.array(extent) / 2).astype(int)
    patch = cv2.resize(texture, tuple(np.round(extent).astype(int)), interpolation=cv2.INTER_NEAREST)
    image[y : y + patch.shape[0], x : x + patch.shape[1]] = patch
    return image


def eight_pairs():
    """Six pairs of one object and two of two objects, as a batch; templates show the object at the usual scale."""
    rng = np.random.default_rng(0)
    template, search, boxes, positive = [], [], [], []
    for k in range(8):
        first, second = (rng.integers(0, 256, (5, 5, 3)).astype(np.uint8) for _ in range(2))
        extent = rng.uniform(45, 75, 2)
        template.append(picture(rng, 127, (63, 63), extent, first))
        extent, centre = extent * rng.uniform(0.9, 1.1, 2), 127 + rng.uniform(-45, 45, 2)
        search.append(picture(rng, 255, centre, extent, first if k < 6 else second))
        boxes.append([*((centre + 0.5 - extent / 2) / 255), *(extent / 255)])
        positive.append(k < 6)
    images = (torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2)[:, None].contiguous() for part in (template, search))
    place = torch.tensor(np.array(boxes), dtype=torch.float32)
    first, second = images
    return PairBatch(first, place, second, place, positive=torch.tensor(positive))
