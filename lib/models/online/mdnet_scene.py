"""Scenes of RT-MDNet: a part of a frame that shows all boxes of interest, and the features of these boxes.

K boxes, D features of a box. Boxes are xywh, pixels of the frame.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...core.view import BLACK, View
from ...layers.roi_align import resample

if TYPE_CHECKING:
    from .rt_mdnet import RTMDNet


class Scene(NamedTuple):
    """A part of a frame and the scale at which it is shown."""

    box: np.ndarray | Tensor  # [4]
    scale: np.ndarray | Tensor  # [2] crop pixels per frame pixel in x and y

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the crop, whole pixels rounded down."""
        width, height = (float(side) * float(scale) for side, scale in zip(self.box[2:], self.scale, strict=True))
        return int(width), int(height)


def scene_around(boxes: np.ndarray, target: np.ndarray, size: int, padding: float) -> Scene:
    """The smallest scene with all boxes, each grown by `padding`: [K, 4]. target: [4], shown `size` x `size` pixels."""
    near = boxes[:, :2] - boxes[:, 2:] * ((padding - 1) / 2)
    far = boxes[:, :2] + boxes[:, 2:] * ((padding + 1) / 2)
    corner = near.min(0)
    return Scene(np.concatenate([corner, far.max(0) - corner]), size / np.asarray(target[2:], np.float64))


def place_scene(scenes: Sequence[Scene], target: np.ndarray, frame: tuple[int, int]) -> View:
    """The view of whole pixels, at the frame's own scale, that the scenes are made from; it ends where the frame ends.

    target: [4]; frame: height and width. Where no scene touches the frame, the view holds its nearest pixels.
    """
    boxes = np.array([scene.box for scene in scenes], np.float64)
    size = np.array(frame[::-1])
    first = np.floor(boxes[:, :2].min(0)).astype(int)
    last = np.ceil((boxes[:, :2] + boxes[:, 2:]).max(0)).astype(int) + 3  # samples end a pixel behind the box
    first = np.clip(first, 0, np.maximum(size - 2, 0))
    last = np.clip(last, first + 2, np.maximum(size, first + 2))
    corner, extent = (int(first[0]), int(first[1])), (int(last[0] - first[0]), int(last[1] - first[1]))
    return View(np.array([*corner, *extent], np.float64), corner, extent, extent, (1.0, 1.0), BLACK)


def read_boxes(
    network: "RTMDNet", pixels: Tensor, corner: Tensor, scene: Scene, boxes: Tensor, padding: float,
    size: tuple[int, int] | None = None,
) -> Tensor:  # fmt: skip
    """The features of boxes in a scene: [K, 4] -> [K, D] float32.

    pixels: [3, H, W] uint8 of a view; corner: [2] its first column and row; size: width and height of the crop, where
    they are not those of the scene. Outside the frame the crop is black.
    """
    box, scale = (torch.as_tensor(part, dtype=torch.float32, device=boxes.device) for part in (scene.box, scene.scale))
    inside = torch.cat([box[:2] - corner, box[2:]])
    crop = resample(pixels.float(), inside, size or scene.size)
    features = network.layers(network.normalize(crop[None]).to(network.dtype))
    return network.describe(features.float(), grow(boxes, box, scale, padding))


def grow(boxes: Tensor, scene: Tensor, scale: Tensor, padding: float) -> Tensor:
    """Boxes grown by `padding` in pixels of a scene's crop: [K, 4], [4], [2] -> [K, 4] x1 y1 x2 y2."""
    near = boxes[:, :2] - boxes[:, 2:] * ((padding - 1) / 2)  # as in `scene_around`: a box at its edge begins at 0
    far = boxes[:, :2] + boxes[:, 2:] * ((padding + 1) / 2)
    return torch.cat([(near - scene[:2]) * scale, (far - scene[:2]) * scale], dim=1)
