"""Following targets: all state in `Target`, none in the network, so one model serves many videos at once.

Crop around the last box, one look, box back into the frame, clip: in the geometry that the model chooses.
B targets, M modalities of the model (1 or 2), S side of a crop in pixels.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.boxes import xywh_to_cxcywh, xywh_to_xyxy
from ...core.crop import NO_PADDING, Crop, box_to_crop
from ...core.errors import InputError
from ...core.geometry import Window
from ...core.measure.machine import usable_cores
from ...datasets.image import choose_reduction
from ...datasets.sequence import pick_modalities
from ...models.base import TrackerModel, cat_memories
from .device_crop import Frame, cut_windows
from .forward_pass import EXACT, CompiledLook, Look, Mode, Seen

log = logging.getLogger(__name__)

_MANY = 8  # crops that are worth a thread each
_MOST_BIAS = 2.0  # by which a side is thought to be overrated or underrated at most

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
    bias: np.ndarray = field(default_factory=lambda: np.ones(2))  # [2] by what the network overrates width and height
    score: float = 1.0  # the network's confidence in `box`; 1 for the box that the user gave
    age: int = 0  # frames since then

    @property
    def found(self) -> bool:
        """Whether it was found in its last frame: there was an answer, and the tracker does not search further."""
        return self.score > 0 and self.search_size <= self.usual_size

    visible = found


#: Shown each pass of the network: its targets, what they were searched in (the box that a crop was cut around, the
#: crop) and the network's prediction.
Observer = Callable[[Sequence[Target], Sequence[tuple[np.ndarray, Crop]], Any], None]


@dataclass(frozen=True, eq=False)
class _Pass:
    """Targets of one search size on their way through the network."""

    places: list[int]  # which of the targets that move
    targets: list[Target]
    arounds: list[np.ndarray]  # the box that each crop was cut around
    windows: list[Window]
    sizes: np.ndarray  # [B, 2] width and height of `arounds` in crop units
    memory: Any
    pixels: Tensor  # [B, M, 3, S, S] uint8
    seen: Seen


class Tracker:
    """A network and its crops. `start` makes targets from first boxes, `track` moves them one frame on."""

    def __init__(self, model: TrackerModel, cfg: Any, device: torch.device | str, mode: Mode = EXACT):
        """cfg: a resolved configuration, of which TEST is read; the model is moved to `device`, its weights become
        what `mode` says. Raises InputError for a mode that the device does not have."""
        self.device, self.mode = torch.device(device), mode
        mode.check(self.device)
        self.model = model.to(self.device).eval()
        self.geometry = model.geometry(cfg.TEST)
        self._embed_look = Look(self.model, mode.dtype)
        self._look: Look | CompiledLook = self._embed_look
        if mode.compiled:
            self._look = CompiledLook(self._embed_look, mode.batch if model.batched else 1, self.device)
        self._joined: tuple[list[Any], Any] = ([], None)
        self._pool = ThreadPoolExecutor(max_workers=usable_cores())  # starts no thread before it has work

    @property
    def modalities(self) -> int:
        """1: visible; 2: visible and infrared."""
        return self.model.modalities

    def prepare(self, images: Images, name: str, whole: tuple[int, int] | None = None, reduction: int = 1) -> Frame:
        """A frame as this tracker reads it; to be done ahead, in a thread. whole: height and width of a reduced one.
        Raises InputError, which names the target, for modalities of different size."""
        picked = pick_modalities(images, self.model.modalities, name)
        return Frame(picked, whole or picked[0].shape[:2], reduction)

    @torch.inference_mode()
    def start(
        self, frames: Sequence[Images | Frame], boxes: Sequence[np.ndarray], names: Sequence[str] = ()
    ) -> list[Target]:
        """New targets, one per frame and box (xywh, pixels); `names` is what error messages call them.

        Raises InputError, which names the target, for a box without area or outside its image.
        """
        names = names or [f"target {index}" for index in range(len(boxes))]
        read = [self._read(images, name) for images, name in zip(frames, names, strict=True)]
        starts = [
            self._begin(name, frame.images, np.array(box, np.float64))
            for name, frame, box in zip(names, read, boxes, strict=True)
        ]
        memory = self._embed([target.box for target, _ in starts], [crops for _, crops in starts])
        targets = [replace(target, memory=_part(memory, index)) for index, (target, _) in enumerate(starts)]
        return self._calibrate(targets, read) if self.geometry.calibrates else targets

    @torch.inference_mode()
    def track(
        self, targets: Sequence[Target], frames: Sequence[Images | Frame], observe: Observer | None = None
    ) -> list[Target]:
        """The targets in their next frames; `frames[k]` belongs to `targets[k]`. One pass of the network for all
        whose search regions have one size, one wait for the device for all passes.

        The targets that come in stay as they are. Each gets the box that it would get alone.
        """
        read = [self._read(images, target.name) for target, images in zip(targets, frames, strict=True)]
        passes, answers = self._ask(targets, read)
        moved: dict[int, Target] = {}
        for one in passes:
            if observe is not None:
                crops = one.pixels.permute(0, 3, 4, 1, 2).flatten(3).cpu().numpy()
                views = [Crop(crop, w.scale, NO_PADDING) for crop, w in zip(crops, one.windows, strict=True)]
                observe(one.targets, list(zip(one.arounds, views, strict=True)), one.seen.prediction)
            for row, place in enumerate(one.places):
                moved[place] = self._move(one, row, read[place].size, answers[len(moved)])
        return [self._renew(moved[index], frame) for index, frame in enumerate(read)]

    def reduction(self, box: np.ndarray, size: int) -> int:
        """How much smaller the next frame may be decoded, given the box now and the side of its search region."""
        if self.mode.crops == "exact" or self.model.cuts_templates:
            return 1
        return choose_reduction(self.geometry.search_side(box, size), size)

    def _read(self, images: Images | Frame, name: str) -> Frame:
        return images if isinstance(images, Frame) else self.prepare(images, name)

    def _ask(self, targets: Sequence[Target], frames: Sequence[Frame]) -> tuple[list[_Pass], np.ndarray]:
        """The passes of the network for targets in their frames, and its answers [B, 5] in the order of the passes."""
        groups: dict[tuple[int, int], list[int]] = {}
        for index, target in enumerate(targets):
            part = len(groups) if not self.model.batched else 0
            groups.setdefault((target.search_size, part), []).append(index)
        passes = [
            self._pass(group, [targets[k] for k in group], [frames[k] for k in group]) for group in groups.values()
        ]
        return passes, torch.cat([one.seen.answers for one in passes]).cpu().numpy().astype(np.float64)

    def _calibrate(self, targets: list[Target], frames: Sequence[Frame]) -> list[Target]:
        """The targets, knowing by what the network overrates their sides in the frame whose boxes were given.

        Where it does not find a target there, nothing is known.
        """
        passes, answers = self._ask(targets, frames)
        known, rest = list(targets), iter(answers)
        for one in passes:
            for place, given, answer in zip(one.places, one.sizes, rest, strict=False):  # a pass takes its share
                if np.isfinite(answer).all() and (np.abs(answer[:2] - 0.5) < given / 2).all():
                    bias = np.clip(answer[2:4] / given, 1 / _MOST_BIAS, _MOST_BIAS)
                    known[place] = replace(targets[place], bias=bias)
        return known

    def _begin(self, name: str, images: Images, box: np.ndarray) -> tuple[Target, list[Crop]]:
        """A target without its memory yet, and its template per modality."""
        _check_first_box(box, images[0], name)
        fills = [self.geometry.fill(image) for image in images]
        size = self.geometry.first_search_size(images[0], box)
        return Target(name, box, None, np.concatenate(fills), size, size), self._template(images, box, fills)

    def _template(self, images: Images, box: np.ndarray, fills: Sequence[np.ndarray]) -> list[Crop]:
        """The template of each modality."""
        return [self.geometry.template(image, box, fill) for image, fill in zip(images, fills, strict=True)]

    def _embed(self, boxes: Sequence[np.ndarray], crops: Sequence[list[Crop]]) -> Any:
        """The memory of targets from their boxes and templates."""
        size = self.geometry.template_size
        pairs = zip(boxes, crops, strict=True)
        units = [xywh_to_cxcywh(box_to_crop(box, box, views[0].scale, size)) for box, views in pairs]
        box_in_crop = torch.tensor(np.stack(units), dtype=torch.float32, device=self.device)
        return self._embed_look.embed(self._upload(crops), box_in_crop)

    def _renew(self, target: Target, frame: Frame) -> Target:
        """The target with a template cut anew in this frame, where the model wants one."""
        if not self.model.wants_template(target):
            return target
        fills = [self.geometry.fill(image) for image in frame.images]
        fresh = self._embed([target.box], [self._template(frame.images, target.box, fills)])
        return replace(target, memory=self.model.renew(target.memory, fresh))

    def _pass(self, places: list[int], targets: list[Target], frames: list[Frame]) -> _Pass:
        """Start a pass of the network: targets of one search size."""
        size = targets[0].search_size
        pairs = [self._window(target, frame) for target, frame in zip(targets, frames, strict=True)]
        arounds, windows = [box for box, _ in pairs], [window for _, window in pairs]
        fills = [target.fill for target in targets]
        if self.mode.crops == "fast":
            pixels = cut_windows(frames, windows, fills, size, self.device)
        else:
            over = self._pool.map if len(targets) >= _MANY else map
            pixels = self._upload(list(over(self._cut, frames, arounds, fills, [size] * len(targets))))
        sizes = np.stack([box[2:] * window.scale / size for box, window in pairs])
        prior = torch.tensor(sizes, dtype=torch.float32, device=self.device)
        memory = self._join([target.memory for target in targets])
        return _Pass(places, targets, arounds, windows, sizes, memory, pixels, self._look(memory, pixels, prior))

    def _window(self, target: Target, frame: Frame) -> tuple[np.ndarray, Window]:
        """The box that is searched around, and where: another box than the target's only where that left the image,
        which a frame smaller than the one before can do."""
        try:
            return target.box, self.geometry.window(target.box, target.search_size, frame.size)
        except InputError:
            box = self.geometry.clip(target.box, frame.size)
            return box, self.geometry.window(box, target.search_size, frame.size)

    def _cut(self, frame: Frame, box: np.ndarray, fill: np.ndarray, size: int) -> list[Crop]:
        """The search crop of each modality: cut one by one they take half the time of all channels together."""
        parts = fill.reshape(len(frame.images), 3)
        return [self.geometry.search(image, box, part, size) for image, part in zip(frame.images, parts, strict=True)]

    def _move(self, one: _Pass, row: int, frame: tuple[int, int], answer: np.ndarray) -> Target:
        """A target of a pass at the network's answer: [5] cxcywh in crop units and score."""
        target, box, window = one.targets[row], one.arounds[row], one.windows[row]
        if one.seen.memory is not None:
            target = replace(target, memory=_part(one.seen.memory, row))
        if np.isfinite(answer).all():
            size = self.geometry.settle_size(answer[2:4], one.sizes[row], target.bias)
            box = self.geometry.to_frame(np.concatenate([answer[:2], size]), box, window.scale, target.search_size)
            target = replace(target, box=self.geometry.clip(box, frame), score=float(answer[4]))
        else:
            if target.score > 0:
                log.warning("%s: the network's answer is not a number; the target stays where it was", target.name)
            target = replace(target, box=box, score=0.0)
        return replace(target, search_size=self.model.search_size(target, frame), age=target.age + 1)

    def _join(self, memories: list[Any]) -> Any:
        """One memory of all targets; that of the last step where it is of the same ones, as it mostly is."""
        if len(memories) == 1:
            return memories[0]
        last, joined = self._joined
        if len(last) != len(memories) or any(a is not b for a, b in zip(last, memories, strict=True)):
            joined = cat_memories(memories)
            self._joined = (memories, joined)
        return joined

    def _upload(self, crops: Sequence[Sequence[Crop]]) -> Tensor:
        """The crops of each target's modalities as one tensor [B, M, 3, S, S] uint8 on the device; one transfer."""
        pixels = torch.from_numpy(np.stack([np.stack([crop.image for crop in views]) for views in crops]))
        if self.device.type == "cuda":
            pixels = pixels.pin_memory()
        return pixels.to(self.device, non_blocking=True).permute(0, 1, 4, 2, 3).contiguous()


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
