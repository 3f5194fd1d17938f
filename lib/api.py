"""Tracking in Python: `from rgbt_toolbox import Tracker`.

    tracker = Tracker()
    target = tracker.init(visible, infrared, box=(517, 106, 114, 324))
    target = tracker.update(visible, infrared)

Images are arrays [H, W, 3] or [H, W], uint8 or uint16; boxes are x, y, width, height in pixels.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from .core.errors import InputError
from .core.registry import choose
from .core.target import Target as TargetState
from .core.words import counted
from .datasets.array import FrameReader, Pixels, choose_pixels, name_streams, read_box
from .datasets.sequence import INFRARED, VISIBLE
from .test.demo.bundled import TRACKER, choose_bundled
from .test.evaluation.open import open_run
from .test.evaluation.read_ahead import read_ahead
from .test.tracker.forward_pass import BACKENDS, PRECISIONS, TORCH, Mode
from .test.video.live import is_live, open_cameras
from .test.video.pairing import open_frames

#: A visible and an infrared image of one frame; None for a camera that is missing.
ImagePair = tuple[ArrayLike | None, ArrayLike | None]


@dataclass(frozen=True, eq=False)
class Target:
    """One target after a frame. It can be pickled, and tracking can go on from it in another process.

    It wraps a `core.target.Target` and adds how the images of its video are read.
    """

    state: TargetState  # as the tracker returned it
    pixels: Pixels  # how the images of its video are read

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.state.name

    @property
    def box(self) -> np.ndarray:
        """[4] x, y, width, height in pixels of the visible image."""
        return self.state.box

    @property
    def score(self) -> float:
        """The network's confidence in the box, from 0 to 1; 1 for the given box."""
        return self.state.score

    @property
    def found(self) -> bool:
        """Whether the target was found in this frame."""
        return self.state.found

    @property
    def age(self) -> int:
        """Frames since the box was given."""
        return self.state.age

    def __repr__(self) -> str:
        box = ", ".join(f"{value:.1f}" for value in self.box)
        return f"Target({self.name!r}, box=({box}), score={self.score:.2f}, found={self.found})"


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """One frame of a video, with its targets."""

    index: int  # from 0
    images: list[np.ndarray]  # [H, W, 3] uint8 RGB: visible and, if there is one, infrared
    targets: list[Target]

    @property
    def target(self) -> Target:
        """The first target."""
        return self.targets[0]


class Tracker:
    """A network with its weights, which tracks any number of targets.

    It wraps a tracker of `lib.test.tracker.protocol`, and reads arrays and videos for it.
    """

    def __init__(
        self,
        tracker: str = TRACKER,
        config: str | None = None,
        *,
        checkpoint: str | Path | None = None,
        device: str = "auto",
        precision: str = "fp32",
        backend: str = TORCH,
        changes: Iterable[str] = (),
    ):
        """tracker: a bundled model ("iimf_lite", "fear", "tiny") or, with `config`, a folder of experiments/.

        config: a configuration of that folder, or a YAML file. checkpoint: a file of weights (default: the bundled
        ones, or those of the newest training run). device: "auto", "cpu", "cuda" or "mps". precision: "fp32", "bf16"
        or "fp16". backend: "torch", or "onnxruntime": faster on processors; it makes graphs at its first use. changes:
        of keys of the configuration, "TEST.SEARCH_FACTOR=4.5". Raises InputError for what is missing or does not fit.
        """
        if config is None:
            model = choose_bundled(tracker)
            tracker, config, checkpoint = model.tracker, model.config, checkpoint or model.checkpoint
        mode = Mode(choose("precision", precision, PRECISIONS), backend=choose("backend", backend, BACKENDS))
        self._tracker = open_run(tracker, config, changes, checkpoint=checkpoint, device=device).load(mode)
        self._reader = FrameReader(self._tracker.streams)
        #: The targets that `update` tracks. The list can be kept, pickled and set again.
        self.targets: list[Target] = []

    @property
    def modalities(self) -> int:
        """1 for a network that reads one camera, 2 for visible and infrared."""
        return self._tracker.streams.modalities

    def init(
        self,
        visible: ArrayLike | None,
        infrared: ArrayLike | None = None,
        *,
        box: ArrayLike,
        order: str = "rgb",
        thermal_range: tuple[float, float] | None = None,
    ) -> Target:
        """Start to track one target in a frame.

        visible, infrared: None for a missing camera. order: of the colour channels, "rgb" or "bgr", here and in
        `update`. thermal_range: raw values of a 16-bit infrared image that become black and white (default: the
        smallest and the largest value of this frame). Raises InputError for images and boxes that cannot be used.
        """
        return self.init_all(visible, infrared, boxes=[box], order=order, thermal_range=thermal_range)[0]

    def init_all(
        self,
        visible: ArrayLike | None,
        infrared: ArrayLike | None = None,
        *,
        boxes: Sequence[ArrayLike],
        names: Sequence[str] = (),
        order: str = "rgb",
        thermal_range: tuple[float, float] | None = None,
    ) -> list[Target]:
        """As `init`, for several targets in one frame."""
        pixels = choose_pixels(name_streams(visible, infrared), order, thermal_range)
        images = self._reader.read(visible, infrared, pixels)
        self.targets = self._start([images] * len(boxes), [pixels] * len(boxes), boxes, names)
        return self.targets

    def update(self, visible: ArrayLike | None, infrared: ArrayLike | None = None) -> Target:
        """The target in the next frame. Raises InputError if `init` was not called, or for several targets."""
        if len(self.targets) > 1:
            raise InputError(f"{len(self.targets)} targets are tracked; call update_all")
        return self.update_all(visible, infrared)[0]

    def update_all(self, visible: ArrayLike | None, infrared: ArrayLike | None = None) -> list[Target]:
        """All targets in the next frame, in one forward pass."""
        if not self.targets:
            raise InputError("no target is tracked; call init with a box first")
        images = self._reader.read(visible, infrared, self.targets[0].pixels)
        self.targets = self._move(self.targets, [images] * len(self.targets))
        return self.targets

    def start(
        self,
        frames: Sequence[ImagePair],
        boxes: Sequence[ArrayLike],
        names: Sequence[str] = (),
        *,
        order: str = "rgb",
        thermal_range: tuple[float, float] | None = None,
    ) -> list[Target]:
        """New targets, each in its own video: frames[k] and boxes[k] belong to target k. `targets` keeps its value."""
        pixels = [choose_pixels(name_streams(*frame), order, thermal_range) for frame in frames]
        images = [self._reader.read(*frame, own) for frame, own in zip(frames, pixels, strict=True)]
        return self._start(images, pixels, boxes, names)

    def track(self, targets: Sequence[Target], frames: Sequence[ImagePair]) -> list[Target]:
        """Targets in their next frames, in one forward pass; frames[k] belongs to targets[k].

        The given targets do not change. Each target gets the same box as if it were tracked alone.
        """
        images = [self._reader.read(*frame, target.pixels) for target, frame in zip(targets, frames, strict=True)]
        return self._move(targets, images)

    def correct(self, targets: Sequence[Target], boxes: Sequence[ArrayLike]) -> list[Target]:
        """The targets with other boxes in their current frame. Tracking goes on from these boxes, and what was learned
        about the targets stays. `targets` keeps its value. Raises InputError for a box that cannot be used."""
        states = self._tracker.correct([target.state for target in targets], [read_box(box) for box in boxes])
        return [Target(state, target.pixels) for state, target in zip(states, targets, strict=True)]

    def follow(
        self,
        visible: str | Path,
        infrared: str | Path | None = None,
        *,
        box: ArrayLike | None = None,
        boxes: Sequence[ArrayLike] = (),
        register: str | None = None,
        fps: tuple[float | None, float | None] = (None, None),
    ) -> Iterator[TrackedFrame]:
        """Track one target (`box`) or several (`boxes`) in a video, frame by frame.

        visible, infrared: video files, folders of images, camera numbers or addresses of streams. register: a file
        with the homography from infrared to visible pixels, or "estimate". fps: frames per second of both where they do
        not tell it themselves, to pair them by time. Raises InputError for videos and boxes that cannot be used.
        """
        first = [*boxes] if box is None else [box, *boxes]
        if not first:
            raise InputError("no target: give box=(x, y, width, height)")
        sources = str(visible), None if infrared is None else str(infrared)
        frames: Iterable[list[np.ndarray]]
        if is_live(sources[0]):
            frames = open_cameras(*sources, register)
        else:
            frames = read_ahead(open_frames(*sources, register, fps))
        targets: list[Target] = []
        for index, images in enumerate(frames):
            read = self._reader.complete(dict(zip((VISIBLE, INFRARED), images, strict=False)))
            if index:
                targets = self._move(targets, [read] * len(first))
            else:
                targets = self._start([read] * len(first), [Pixels()] * len(first), first, ())
            yield TrackedFrame(index, images, targets)

    def _start(
        self,
        images: Sequence[list[np.ndarray]],
        pixels: Sequence[Pixels],
        boxes: Sequence[ArrayLike],
        names: Sequence[str],
    ) -> list[Target]:
        if len(boxes) != len(images) or len(names) not in (0, len(boxes)):
            counts = ", ".join(map(counted, (len(images), len(boxes), len(names)), ("frame", "box", "name")))
            raise InputError(f"{counts}; give one box, and one name or none at all, for each target")
        started = self._tracker.start(images, [read_box(box) for box in boxes], list(names))
        return [Target(state, own) for state, own in zip(started, pixels, strict=True)]

    def _move(self, targets: Sequence[Target], images: Sequence[list[np.ndarray]]) -> list[Target]:
        moved = self._tracker.track([target.state for target in targets], images)
        return [Target(state, target.pixels) for state, target in zip(moved, targets, strict=True)]
