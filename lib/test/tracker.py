"""Following targets: all state in `Target`, none in the network, so one model serves many videos at once.

Crop around the last box, one look, box back into the frame, clip: in the geometry that the model chooses.
B targets, M modalities of the model (1 or 2), S side of a crop in pixels.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.core.boxes import xywh_to_cxcywh, xywh_to_xyxy
from lib.core.crop import Crop, box_to_crop
from lib.core.errors import InputError
from lib.datasets.sequence import stack_modalities
from lib.models.base import TrackerModel, cat_memories

log = logging.getLogger(__name__)

Images = Sequence[np.ndarray]  # one frame: [H, W, 3] uint8 RGB per modality


@dataclass(frozen=True, eq=False)
class Target:
    """Everything that changes while one target is followed. Picklable."""

    name: str  # what messages call it: the sequence's name
    box: np.ndarray  # [4] float64, xywh, frame pixels
    memory: Any  # from TrackerModel.embed, leading dimension 1
    fill: np.ndarray  # [3 M] uint8, the colour outside the image
    usual_size: int  # side of its usual search region as the network sees it, pixels
    search_size: int  # side of its next one; larger while it is lost
    score: float = 1.0  # the network's confidence in `box`; 1 for the box that the user gave

    @property
    def visible(self) -> bool:
        """Whether the tracker takes it as found; a tracker that does not search further always does."""
        return self.search_size <= self.usual_size


#: Shown each pass of the network: its targets, what they were searched in (the box that a crop was cut around, the
#: crop) and the network's prediction.
Observer = Callable[[Sequence[Target], Sequence[tuple[np.ndarray, Crop]], Any], None]


class Tracker:
    """A network and its crops. `start` makes targets from first boxes, `track` moves them one frame on."""

    def __init__(self, model: TrackerModel, cfg: Any, device: torch.device | str):
        """cfg: a resolved configuration, of which TEST is read; the model is moved to `device`."""
        self.model = model.to(device).eval()
        self.device = torch.device(device)
        self.geometry = model.geometry(cfg.TEST)

    @torch.inference_mode()
    def start(self, frames: Sequence[Images], boxes: Sequence[np.ndarray], names: Sequence[str] = ()) -> list[Target]:
        """New targets, one per frame and box (xywh, pixels); `names` is what error messages call them.

        Raises InputError, which names the target, for a box without area or outside its image.
        """
        names = names or [f"target {index}" for index in range(len(boxes))]
        starts = [
            self._begin(name, stack_modalities(images, self.model.modalities, name), np.array(box, np.float64))
            for name, images, box in zip(names, frames, boxes, strict=True)
        ]
        units = [
            xywh_to_cxcywh(box_to_crop(target.box, target.box, crop.scale, self.geometry.template_size))
            for target, crop in starts
        ]
        box_in_crop = torch.tensor(np.stack(units), dtype=torch.float32, device=self.device)
        memory = self.model.embed(self._upload([crop for _, crop in starts]), box_in_crop)
        return [replace(target, memory=_part(memory, index)) for index, (target, _) in enumerate(starts)]

    @torch.inference_mode()
    def track(
        self, targets: Sequence[Target], frames: Sequence[Images], observe: Observer | None = None
    ) -> list[Target]:
        """The targets in their next frames; `frames[k]` belongs to `targets[k]`. One pass of the network for all
        whose search regions have one size.

        The targets that come in stay as they are. Each gets the box that it would get alone.
        """
        groups: dict[int, list[int]] = {}
        for index, target in enumerate(targets):
            groups.setdefault(target.search_size if self.model.batched else index, []).append(index)
        moved = {
            index: target
            for group in groups.values()
            for index, target in zip(
                group, self._look([targets[k] for k in group], [frames[k] for k in group], observe), strict=True
            )
        }
        return [moved[index] for index in range(len(targets))]

    def _begin(self, name: str, image: np.ndarray, box: np.ndarray) -> tuple[Target, Crop]:
        """A target without its memory yet, and its template."""
        _check_first_box(box, image, name)
        fill, size = self.geometry.fill(image), self.geometry.first_search_size(image, box)
        return Target(name, box, None, fill, size, size), self.geometry.template(image, box, fill)

    def _look(self, targets: Sequence[Target], frames: Sequence[Images], observe: Observer | None) -> list[Target]:
        """One pass of the network: targets of one search size."""
        stacks = [
            stack_modalities(images, self.model.modalities, target.name)
            for target, images in zip(targets, frames, strict=True)
        ]
        crops = [self._crop(target, image) for target, image in zip(targets, stacks, strict=True)]
        sizes = [box[2:] * crop.scale / targets[0].search_size for box, crop in crops]
        prior = torch.tensor(np.stack(sizes), dtype=torch.float32, device=self.device)
        memory = cat_memories([target.memory for target in targets])
        prediction = self.model(memory, self._upload([crop for _, crop in crops]))
        if observe is not None:
            observe(targets, crops, prediction)
        boxes, scores, learned = self.model.conclude(memory, prediction, prior)
        answers = torch.cat([boxes, scores[:, None]], dim=1).float().cpu().numpy().astype(np.float64)
        if learned is not memory:
            targets = [replace(target, memory=_part(learned, index)) for index, target in enumerate(targets)]
        return [
            self._move(target, image, crop, answer)
            for target, image, crop, answer in zip(targets, stacks, crops, answers, strict=True)
        ]

    def _crop(self, target: Target, image: np.ndarray) -> tuple[np.ndarray, Crop]:
        """The search crop, and the box that it was cut around: another than the target's only where that left the
        image, which a frame smaller than the one before can do."""
        try:
            return target.box, self.geometry.search(image, target.box, target.fill, target.search_size)
        except InputError:
            box = self.geometry.clip(target.box, image)
            return box, self.geometry.search(image, box, target.fill, target.search_size)

    def _move(self, target: Target, image: np.ndarray, crop: tuple[np.ndarray, Crop], answer: np.ndarray) -> Target:
        """The target at the network's answer: [5] cxcywh in crop units and score."""
        box, pixels = crop
        if np.isfinite(answer).all():
            box = self.geometry.clip(self.geometry.to_frame(answer[:4], box, pixels), image)
            target = replace(target, box=box, score=float(answer[4]))
        else:
            if target.score > 0:
                log.warning("%s: the network's answer is not a number; the target stays where it was", target.name)
            target = replace(target, box=box, score=0.0)
        height, width = image.shape[:2]
        return replace(target, search_size=self.model.search_size(target, (height, width)))

    def _upload(self, crops: Sequence[Crop]) -> Tensor:
        """Crops as one normalised tensor [B, M, 3, S, S] on the device; one transfer of uint8 values."""
        pixels = torch.from_numpy(np.stack([crop.image for crop in crops])).to(self.device)
        return self.model.normalize(pixels.unflatten(3, (-1, 3)).permute(0, 3, 4, 1, 2).contiguous())


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
