"""Following targets: all state in `Target`, none in the network, so one model serves many videos at once.

The geometry is that of the OSTrack family: crop around the last box, one look, box back into the frame, clip.
B targets, M modalities of the model (1 or 2), S side of a crop in pixels.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.core.boxes import clip_box, xywh_to_cxcywh, xywh_to_xyxy
from lib.core.crop import Crop, box_to_crop, box_to_frame, sample_target
from lib.core.errors import InputError
from lib.datasets.sequence import stack_modalities
from lib.models.base import TrackerModel, cat_memories

log = logging.getLogger(__name__)

MARGIN = 10  # pixels of every box that stay inside the image, as in the OSTrack family

Images = Sequence[np.ndarray]  # one frame: [H, W, 3] uint8 RGB per modality


@dataclass(frozen=True, eq=False)
class Target:
    """Everything that changes while one target is followed. Picklable."""

    name: str  # what messages call it: the sequence's name
    box: np.ndarray  # [4] float64, xywh, frame pixels
    memory: Any  # from TrackerModel.embed, leading dimension 1
    score: float = 1.0  # the network's confidence in `box`; 1 for the box that the user gave


class Tracker:
    """A network and its crops. `start` makes targets from first boxes, `track` moves them one frame on."""

    def __init__(self, model: TrackerModel, cfg: Any, device: torch.device | str):
        """cfg: a resolved configuration, of which TEST is read; the model is moved to `device`."""
        self.model = model.to(device).eval()
        self.device = torch.device(device)
        self.template_factor, self.template_size = cfg.TEST.TEMPLATE_FACTOR, cfg.TEST.TEMPLATE_SIZE
        self.search_factor, self.search_size = cfg.TEST.SEARCH_FACTOR, cfg.TEST.SEARCH_SIZE

    @torch.inference_mode()
    def start(self, frames: Sequence[Images], boxes: Sequence[np.ndarray], names: Sequence[str] = ()) -> list[Target]:
        """New targets, one per frame and box (xywh, pixels); `names` is what error messages call them.

        Raises InputError, which names the target, for a box without area or outside its image.
        """
        names = names or [f"target {index}" for index in range(len(boxes))]
        boxes = [np.array(box, np.float64) for box in boxes]
        crops, units = [], []
        for name, images, box in zip(names, frames, boxes, strict=True):
            image = stack_modalities(images, self.model.modalities, name)
            _check_first_box(box, image, name)
            crop = sample_target(image, box, self.template_factor, self.template_size)
            crops.append(crop)
            units.append(xywh_to_cxcywh(box_to_crop(box, box, crop.scale, self.template_size)))
        box_in_crop = torch.tensor(np.stack(units), dtype=torch.float32, device=self.device)
        memory = self.model.embed(self._upload(crops), box_in_crop)
        return [
            Target(name, box, _part(memory, index)) for index, (name, box) in enumerate(zip(names, boxes, strict=True))
        ]

    @torch.inference_mode()
    def track(self, targets: Sequence[Target], frames: Sequence[Images]) -> list[Target]:
        """The targets in their next frames, in one pass of the network; `frames[k]` belongs to `targets[k]`.

        The targets that come in stay as they are. Each gets the box that it would get alone.
        """
        if len(targets) > 1 and not self.model.batched:
            pairs = zip(targets, frames, strict=True)
            return [moved for target, images in pairs for moved in self.track([target], [images])]
        stacks = [
            stack_modalities(images, self.model.modalities, target.name)
            for target, images in zip(targets, frames, strict=True)
        ]
        crops = [self._crop(target, image) for target, image in zip(targets, stacks, strict=True)]
        sizes = [box[2:] * crop.scale / self.search_size for box, crop in crops]
        prior = torch.tensor(np.stack(sizes), dtype=torch.float32, device=self.device)
        memory = cat_memories([target.memory for target in targets])
        prediction = self.model(memory, self._upload([crop for _, crop in crops]))
        boxes, scores = self.model.decode(prediction, prior)
        answers = torch.cat([boxes, scores[:, None]], dim=1).float().cpu().numpy().astype(np.float64)
        learned = self.model.refresh(memory)
        if learned is not memory:
            targets = [replace(target, memory=_part(learned, index)) for index, target in enumerate(targets)]
        return [
            self._move(target, image, crop, answer)
            for target, image, crop, answer in zip(targets, stacks, crops, answers, strict=True)
        ]

    def _crop(self, target: Target, image: np.ndarray) -> tuple[np.ndarray, Crop]:
        """The search crop, and the box that it was cut around: another than the target's only where that left the
        image, which a frame smaller than the one before can do."""
        factor = self.search_factor * self.model.search_scale(target)
        try:
            return target.box, sample_target(image, target.box, factor, self.search_size)
        except InputError:
            box = _clip(target.box, image)
            return box, sample_target(image, box, factor, self.search_size)

    def _move(self, target: Target, image: np.ndarray, crop: tuple[np.ndarray, Crop], answer: np.ndarray) -> Target:
        """The target at the network's answer: [5] cxcywh in crop units and score."""
        around, (_, scale, _) = crop
        if not np.isfinite(answer).all():
            if target.score > 0:
                log.warning("%s: the network's answer is not a number; the target stays where it was", target.name)
            return replace(target, box=around, score=0.0)
        box = box_to_frame(answer[:4], around, scale, self.search_size)
        return replace(target, box=_clip(box, image), score=float(answer[4]))

    def _upload(self, crops: Sequence[Crop]) -> Tensor:
        """Crops as one normalised tensor [B, M, 3, S, S] on the device; one transfer of uint8 values."""
        pixels = torch.from_numpy(np.stack([crop.image for crop in crops])).to(self.device)
        return self.model.normalize(pixels.unflatten(3, (-1, 3)).permute(0, 3, 4, 1, 2).contiguous())


def _clip(box: np.ndarray, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return clip_box(box, height, width, margin=MARGIN)


def _check_first_box(box: np.ndarray, image: np.ndarray, name: str) -> None:
    text = "x={:g} y={:g} w={:g} h={:g}".format(*box)
    if not (np.isfinite(box).all() and box[2] > 0 and box[3] > 0):
        raise InputError(f"{name}: first box {text} has no area; width and height must be above 0 pixels")
    height, width = image.shape[:2]
    x1, y1, x2, y2 = xywh_to_xyxy(box)
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        raise InputError(f"{name}: first box {text} lies outside its {width}x{height} image; check the box")


def _part(memory: Any, index: int) -> Any:
    """The memory of one target, as its own storage: a pickled target then carries no other target's tensors."""
    return type(memory)(*(tensor[index : index + 1].clone() for tensor in memory))
