"""One network that tracks with many settings at once: one forward pass for all of them, and each one's own rules."""

import logging
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Many
from pathlib import Path
from typing import Any

import numpy as np
import torch
from easydict import EasyDict

from ...core import tree
from ...core.errors import InputError
from ...core.frame import Frame, Images
from ...core.target import Target
from ...models import build_method
from ...models.base import Network
from ..evaluation.open import load_network
from ..tracker.crop_tracker import CropTracker, Request
from ..tracker.forward_pass import EXACT, ForwardPass, Output, read_answers
from ..tracker.protocol import Observer, read_frame

log = logging.getLogger(__name__)

MOST = 32  # targets of a pass
CHECKED, ALWAYS = JOINT = ("checked", "always")
_TRIES = 2  # passes of each size that are compared


class ManySettings:
    """A tracker that uses one network with many settings. A target's trial is the part of its name before `/`.

    Each trial has a method of its own; all share the network, and search regions of one size share a forward pass.
    """

    corrects = True

    def __init__(self, network: Network, configs: Mapping[str, EasyDict], device: str, joint: str = CHECKED):
        """joint: of JOINT. checked: targets share a pass where its numbers are those of a pass for each trial, bit for
        bit, which is found out with the first passes of each size; always: also where they differ by rounding.
        Raises InputError for settings that read different streams."""
        trackers = {}
        for trial, cfg in configs.items():
            method = build_method(network, cfg)
            method.network.to(device).eval()
            forward = ForwardPass(method, EXACT.dtype)
            trackers[trial] = (CropTracker(method, device, forward=forward), forward)
        self._trackers = {trial: tracker for trial, (tracker, _) in trackers.items()}
        self._passes = {trial: forward for trial, (_, forward) in trackers.items()}
        streams = {tracker.streams._replace(own_boxes=False) for tracker in self._trackers.values()}
        if len(streams) > 1:
            raise InputError("--search: these settings look at different streams; search with one of them at a time")
        own = any(tracker.streams.own_boxes for tracker in self._trackers.values())
        self.streams = streams.pop()._replace(own_boxes=own)
        self._shared = SharedPass(joint)

    def start(self, frames: Many[Images | Frame], boxes: Many[np.ndarray], names: Many[str] = ()) -> list[Target]:
        """As `Tracker.start`; every name begins with a trial."""

        def begin(tracker: CropTracker, at: list[int]) -> list[Target]:
            given = [boxes[k] if tracker.streams.own_boxes else np.reshape(boxes[k], (-1, 4))[0] for k in at]
            return tracker.start([frames[k] for k in at], given, [names[k] for k in at])

        return self._apart(names, begin)

    def track(
        self, targets: Many[Target], frames: Many[Images | Frame], observe: Observer | None = None
    ) -> list[Target]:
        """As `Tracker.track`; targets of all trials share their forward passes."""
        read = [read_frame(images, self.streams, one.name) for one, images in zip(targets, frames, strict=True)]
        places = _by_trial([target.name for target in targets])
        moved: dict[int, Target] = {}
        with self._trackers[next(iter(places))].torch_mode():
            asked = {
                trial: self._trackers[trial].requests([targets[k] for k in at], [read[k] for k in at])
                for trial, at in places.items()
            }
            flat = [(self._passes[trial], request) for trial, requests in asked.items() for request in requests]
            outputs = iter(self._shared.run(flat))
            own = {trial: [next(outputs) for _ in requests] for trial, requests in asked.items()}
            answers = read_answers([output for trial in asked for output in own[trial]])
            for trial, at in places.items():
                mine, answers = np.split(answers, [len(at)])
                frames_of = [read[k] for k in at]
                found = self._trackers[trial].finish(asked[trial], own[trial], mine, frames_of, observe=observe)
                moved |= dict(zip(at, found, strict=True))
        return [moved[index] for index in range(len(moved))]

    def correct(self, targets: Many[Target], boxes: Many[np.ndarray]) -> list[Target]:
        """As `Tracker.correct`."""

        def place(tracker: CropTracker, at: list[int]) -> list[Target]:
            return tracker.correct([targets[k] for k in at], [boxes[k] for k in at])

        return self._apart([target.name for target in targets], place)

    def reduction(self, target: Target) -> int:
        """As `Tracker.reduction`."""
        return self._trackers[trial_of(target.name)].reduction(target)

    def _apart(self, names: Iterable[str], work: Callable[[CropTracker, list[int]], list[Target]]) -> list[Target]:
        """Runs `work` for each trial with its own tracker and the indices of its targets; returns all targets in
        order."""
        done = {
            index: target
            for trial, at in _by_trial(names).items()
            for index, target in zip(at, work(self._trackers[trial], at), strict=True)
        }
        return [done[index] for index in range(len(done))]


class SharedPass:
    """The forward passes of many methods around one network."""

    def __init__(self, joint: str):
        """joint: as for ManySettings."""
        self._joint = joint
        self._agrees: dict[Any, list[bool]] = {}  # kind of pass -> whether its numbers were those of single passes
        self._joiners: dict[Any, tree.Joiner] = {}

    def run(self, asked: Many[tuple[ForwardPass, Request]]) -> list[Output]:
        """The outputs of requests, each with the pass of its method."""
        groups: dict[Any, list[int]] = {}
        for index, (forward, request) in enumerate(asked):
            alone = () if forward.method.batched else (index,)
            sizes = tuple(tuple(part.shape[1:]) for part in tree.tensors(request.memory))
            groups.setdefault((tuple(request.pixels.shape[1:]), sizes, *alone), []).append(index)
        outputs: dict[int, Output] = {}
        for kind, places in groups.items():
            for first in range(0, len(places), MOST):
                chunk = places[first : first + MOST]
                found = self._predict([asked[k] for k in chunk], (kind, first))
                for place, prediction in zip(chunk, found, strict=True):
                    forward, request = asked[place]
                    outputs[place] = forward.decide(request.memory, prediction, request.pixels, request.prior)
        return [outputs[index] for index in range(len(outputs))]

    def _predict(self, chunk: Many[tuple[ForwardPass, Request]], kind: Any) -> list[Any]:
        """The network's prediction for each request."""
        if len(chunk) == 1:
            return [_single(*chunk[0])]
        rows = tuple(len(request.pixels) for _, request in chunk)
        seen = self._agrees.setdefault((kind, rows), [])
        if self._joint == ALWAYS or (len(seen) >= _TRIES and all(seen)):
            return self._together(chunk, kind, rows)
        single = [_single(*one) for one in chunk]
        if len(seen) < _TRIES and all(seen):
            joint = self._together(chunk, kind, rows)
            seen.append(all(map(_equal, single, joint)))
            if len(seen) == _TRIES or not seen[-1]:
                self._say(sum(rows), seen[-1])
        return single

    def _together(self, chunk: Many[tuple[ForwardPass, Request]], kind: Any, rows: tuple[int, ...]) -> list[Any]:
        memory = self._joiners.setdefault(kind, tree.Joiner())([request.memory for _, request in chunk])
        pixels = torch.cat([request.pixels for _, request in chunk])
        prediction = chunk[0][0].method.predict(memory, pixels)
        parts = [part.split(rows) for part in tree.tensors(prediction)]
        return [tree.replace_tensors(prediction, [part[k] for part in parts]) for k in range(len(rows))]

    @staticmethod
    def _say(count: int, agrees: bool) -> None:
        if agrees:
            log.info("one forward pass for %d settings: its numbers are those of single passes, bit for bit", count)
        else:
            log.info(
                "a pass for each of %d settings: one for all rounds differently here (--joint always: faster on a GPU)",
                count,
            )


def _single(forward: ForwardPass, request: Request) -> Any:
    return forward.method.predict(request.memory, request.pixels)


def _equal(one: Any, other: Any) -> bool:
    return all(map(torch.equal, tree.tensors(one), tree.tensors(other)))


def _by_trial(names: Iterable[str]) -> dict[str, list[int]]:
    """The indices of the targets of each trial."""
    places: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        places.setdefault(trial_of(name), []).append(index)
    return places


def trial_of(name: str) -> str:
    """The trial of a target's name.

    >>> trial_of("0123456789/walk")
    '0123456789'
    """
    return name.partition("/")[0]


def load_settings(configs: Mapping[str, EasyDict], checkpoint: Path, device: str, joint: str = CHECKED) -> ManySettings:
    """The network of a checkpoint with many settings. Raises InputError as `load_network`."""
    return ManySettings(load_network(next(iter(configs.values())), checkpoint), configs, device, joint)
