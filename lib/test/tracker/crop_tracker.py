"""Tracking by crops: cut the views, run one forward pass for many targets, convert the boxes to the frames.

B targets, V views per target, M modalities, S side of a crop in pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ...core import tree
from ...core.boxes import xywh_to_cxcywh
from ...core.crop import cut
from ...core.errors import InputError
from ...core.frame import Frame, Images, Streams
from ...core.measure.machine import usable_cores
from ...core.target import Target
from ...core.upload import upload
from ...core.view import View
from ...datasets.image import choose_reduction
from ...models.method import CropState, Method
from .device_crop import cut_views
from .forward_pass import EXACT, ONNX, Mode, Output, Pass, read_answer, read_answers, torch_pass
from .protocol import HeatMap, Observer, check_box, check_first_box, is_too_large, name_targets, read_frame

_MANY = 8  # from this number of crops on, threads are faster

Stage = Callable[[str], AbstractContextManager[Any]]  # measures the code inside `with`


@dataclass(frozen=True, eq=False)
class Request:
    """What a forward pass needs: a group of targets whose views have the same size."""

    places: list[int]  # index of each target among all targets of the frame
    targets: list[Target]
    views: list[list[View]]  # of each target
    memory: Any
    pixels: Tensor  # [B, V, M, 3, S, S] uint8
    prior: Tensor  # [B, V, 2] last width and height in crop units


class CropTracker:
    """A method and its network on a device. `Tracker` documents the methods."""

    corrects = True

    def __init__(
        self,
        method: Method,
        device: torch.device | str,
        mode: Mode = EXACT,
        *,
        forward: Pass | None = None,
        stage: Stage = lambda name: nullcontext(),
    ):
        """forward: default: by PyTorch, which moves the method's network to `device` and converts it to the precision
        of `mode`. stage: called with "crops" and "network" around these parts of each pass. Raises InputError for a
        mode that the device does not support."""
        self.device, self.mode, self.method = torch.device(device), mode, method
        mode.check(self.device)
        self._forward = forward or torch_pass(method, self.device, mode)
        self._stage = stage
        self._join = tree.Joiner()
        self._pool = ThreadPoolExecutor(max_workers=usable_cores())  # starts threads only when there is work

    @property
    def streams(self) -> Streams:
        """As the method's."""
        return self.method.streams

    def start(
        self, frames: Sequence[Images | Frame], boxes: Sequence[np.ndarray], names: Sequence[str] = ()
    ) -> list[Target]:
        """As `Tracker.start`."""
        names = name_targets(names, len(boxes))
        read = [read_frame(images, self.streams, name) for images, name in zip(frames, names, strict=True)]
        targets = []
        for name, frame, given in zip(names, read, boxes, strict=True):
            own = np.array(given, np.float64)
            for box in own.reshape(-1, 4):
                check_first_box(box, frame.size, name)
            state = CropState(None, self.method.initial_settings(frame, own))
            targets.append(Target(name, own.reshape(-1, 4)[0], state=state))
        with self.torch_mode():
            views = [self.method.first_views(target, frame) for target, frame in zip(targets, read, strict=True)]
            targets = self._learn(targets, views, read)
            targets = self._calibrate(targets, read) if self.method.calibrates else targets
            return self._find_masks(targets, read) if self.method.first_masks else targets

    def track(
        self, targets: Sequence[Target], frames: Sequence[Images | Frame], observe: Observer | None = None
    ) -> list[Target]:
        """As `Tracker.track`: one forward pass for all targets whose views have the same size, and one wait for the
        device for all passes. The given targets do not change, except for `Owned` parts of their memory."""
        read = [read_frame(images, self.streams, one.name) for one, images in zip(targets, frames, strict=True)]
        with self.torch_mode():
            requests = self.requests(targets, read)
            outputs = [self._run(request) for request in requests]
            return self.finish(requests, outputs, read_answers(outputs), read, observe=observe)

    def finish(
        self,
        requests: Sequence[Request],
        outputs: Sequence[Output],
        answers: np.ndarray,
        frames: Sequence[Frame],
        *,
        observe: Observer | None = None,
    ) -> list[Target]:
        """The targets after the forward passes of their requests; answers: from `read_answers`."""
        moved: dict[int, Target] = {}
        for request, output in zip(requests, outputs, strict=True):
            masks = None if output.masks is None else output.masks.float().cpu().numpy()
            if observe is not None:
                observe(request.targets, request.views, self._heat_maps(request, output))
            for row, place in enumerate(request.places):
                target = request.targets[row]
                if output.memory is not None:
                    target = _with_memory(target, tree.part(output.memory, row))
                found, view = read_answer(answers[len(moved)], request.views[row])
                found = found if masks is None else found._replace(mask=masks[row])
                moved[place] = self.method.update_target(target, view, found, frames[place].size)
        return [self._update_template(moved[index], frame) for index, frame in enumerate(frames)]

    def correct(self, targets: Sequence[Target], boxes: Sequence[np.ndarray]) -> list[Target]:
        """As `Tracker.correct`."""
        for target, box in zip(targets, boxes, strict=True):
            check_box(box, target.name)
        return [self.method.correct(target, box) for target, box in zip(targets, boxes, strict=True)]

    def reduction(self, target: Target) -> int:
        """As `Tracker.reduction`; more than 1 only for crops that are cut on the device."""
        if self.mode.crops == "exact" or self.method.updates_template:
            return 1
        return choose_reduction(*self.method.search_sides(target))

    @contextmanager
    def torch_mode(self) -> Iterator[None]:
        """No gradients: `no_grad` for methods that enable gradients themselves, the faster `inference_mode` for others.
        One thread where ONNX Runtime computes the network: PyTorch's others would wait busily where it needs cores."""
        threads = torch.get_num_threads()
        alone = self.mode.backend == ONNX and threads > 1
        with torch.no_grad() if self.method.needs_gradients else torch.inference_mode():
            if alone:
                torch.set_num_threads(1)
            try:
                yield
            finally:
                if alone:
                    torch.set_num_threads(threads)

    def requests(self, targets: Sequence[Target], frames: Sequence[Frame]) -> list[Request]:
        """What the forward passes of all targets need."""
        views = [self._views(target, frame) for target, frame in zip(targets, frames, strict=True)]
        groups: dict[tuple[Any, ...], list[int]] = {}
        for index, (first, *others) in enumerate(views):
            alone = () if self.method.batched else (index,)
            groups.setdefault((first.size, len(others), *alone), []).append(index)
        made = []
        for places in groups.values():
            own, shown = [targets[k] for k in places], [views[k] for k in places]
            with self._stage("crops"):
                pixels = self._pixels([frames[k] for k in places], shown)
            prior = np.array([[view.prior for view in row] for row in shown], np.float32)
            recalled = list(map(self.method.recall, own, shown, (frames[k] for k in places)))
            made.append(Request(places, own, shown, self._join(recalled), pixels, upload(prior, self.device)))
        return made

    def _run(self, request: Request) -> Output:
        with self._stage("network"):
            return self._forward(request.memory, request.pixels, request.prior)

    def _views(self, target: Target, frame: Frame) -> list[View]:
        """The views of a target. Where its box lies outside the frame or is much larger, which happens where a frame is
        smaller than the one before, the box is clipped first."""
        try:
            if not is_too_large(target.box, frame.size):
                return self.method.views(target, frame)
        except InputError:
            pass  # the box lies outside the frame
        return self.method.views(replace(target, box=self.method.clip(target.box, frame.size)), frame)

    def _calibrate(self, targets: list[Target], frames: Sequence[Frame]) -> list[Target]:
        """The targets after `Method.calibrate`: a search in the frame whose boxes were given."""
        requests = self.requests(targets, frames)
        known, rest = list(targets), iter(read_answers([self._run(request) for request in requests]))
        for request in requests:
            for row, place in enumerate(request.places):
                answer, view = read_answer(next(rest), request.views[row])
                state = targets[place].state
                settings = self.method.calibrate(state.settings, answer, view.prior)
                known[place] = replace(targets[place], state=state._replace(settings=settings))
        return known

    def _find_masks(self, targets: list[Target], frames: Sequence[Frame]) -> list[Target]:
        """The targets with the masks of a search in the frame whose boxes were given, where it finds something whose
        middle is in the given box."""
        found = self.track(targets, frames)
        return [
            replace(one, mask=there.mask) if (np.abs(_middle(there) - _middle(one)) < one.box[2:] / 2).all() else one
            for one, there in zip(targets, found, strict=True)
        ]

    def _learn(self, targets: list[Target], views: Sequence[list[View]], frames: Sequence[Frame]) -> list[Target]:
        """The targets with what is learned from their views."""
        if not self.method.absorbs:
            memory = self._begin(targets, views, frames)
            return [_with_memory(target, tree.part(memory, index)) for index, target in enumerate(targets)]
        given = zip(targets, views, frames, strict=True)
        return [_with_memory(one[0], self.method.absorb(*one, self._pixels([one[2]], [one[1]]))) for one in given]

    def _begin(self, targets: Sequence[Target], views: Sequence[list[View]], frames: Sequence[Frame]) -> Any:
        """The joint memory of targets, from their views."""
        units = [[xywh_to_cxcywh(v.to_crop(t.box)) for v in own] for t, own in zip(targets, views, strict=True)]
        boxes = upload(np.array(units, np.float32), self.device)
        return self._forward.begin(self._pixels(frames, views, exact=True), boxes)

    def _update_template(self, target: Target, frame: Frame) -> Target:
        """The target after a template update, where the method returns views for one."""
        views = self.method.update_views(target, frame) if self.method.updates_template else []
        if not views or self.method.absorbs:
            return self._learn([target], [views], [frame])[0] if views else target
        memory = self.method.merge_memory(target.state.memory, self._begin([target], [views], [frame]))
        return _with_memory(target, memory)

    def _heat_maps(self, request: Request, output: Output) -> list[HeatMap | None]:
        found = self._forward.score_map(output)
        if found is None:
            return [None] * len(request.targets)
        heats: list[HeatMap | None] = []
        for (view, *_), scores in zip(request.views, found.scores.float().cpu().numpy(), strict=True):
            x, y, w, h = view.region
            edge, share = found.first - found.step / 2, found.step * len(scores)
            heats.append(HeatMap(scores, np.array([x + edge * w, y + edge * h, share * w, share * h])))
        return heats

    def _pixels(self, frames: Sequence[Frame], views: Sequence[list[View]], *, exact: bool = False) -> Tensor:
        """The crops of all targets, views and modalities as one tensor [B, V, M, 3, S, S] uint8, moved to the device in
        one transfer. exact: cut by OpenCV, if the frames were decoded at full size."""
        pairs = [(frame, view) for frame, shown in zip(frames, views, strict=True) for view in shown]
        whole = all(frame.reduction == 1 for frame in frames)
        if whole and (exact or self.mode.crops == "exact"):
            over = self._pool.map if len(pairs) >= _MANY else map
            crops = upload(np.stack(list(over(_cut, pairs))), self.device)
        else:
            crops = cut_views(pairs, self.device)
        return crops.unflatten(0, (len(views), -1))


def _cut(pair: tuple[Frame, View]) -> np.ndarray:
    """The crops of a frame's modalities, [M, 3, S, S]. Cutting them one by one takes half the time of one joint cut;
    PyTorch, whose threads would have to wake up, would take longer to bring the channels to the front."""
    frame, view = pair
    return np.stack([cv2.split(cut(image, view.of(number))) for number, image in enumerate(frame.images)])


def _middle(target: Target) -> np.ndarray:
    return target.box[:2] + target.box[2:] / 2


def _with_memory(target: Target, memory: Any) -> Target:
    return replace(target, state=target.state._replace(memory=memory))
