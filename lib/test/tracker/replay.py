"""Known boxes as trackers: existing result files, and a box that never moves."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ...core.errors import InputError
from ...core.frame import Frame, Images, Streams
from ...core.target import Target
from .protocol import Observer, check_first_box, name_targets, read_frame


class StaticBox:
    """Repeats the first box in all frames: the baseline without any tracking."""

    streams = Streams(1)
    corrects = True

    def start(
        self, frames: Sequence[Images | Frame], boxes: Sequence[np.ndarray], names: Sequence[str] = ()
    ) -> list[Target]:
        """As `Tracker.start`."""
        targets = []
        for name, images, given in zip(name_targets(names, len(boxes)), frames, boxes, strict=True):
            box = np.array(given, np.float64)
            check_first_box(box, read_frame(images, self.streams, name).size, name)
            targets.append(Target(name, box))
        return targets

    def track(
        self, targets: Sequence[Target], frames: Sequence[Images | Frame], observe: Observer | None = None
    ) -> list[Target]:
        """The targets with the same boxes."""
        return [replace(target, age=target.age + 1) for target in targets]

    def correct(self, targets: Sequence[Target], boxes: Sequence[np.ndarray]) -> list[Target]:
        """The targets with other boxes, which they keep from now on."""
        return [replace(target, box=np.array(box, np.float64)) for target, box in zip(targets, boxes, strict=True)]

    def reduction(self, target: Target) -> int:
        """8, the largest: the images are not used."""
        return 8


class Replay(StaticBox):
    """Existing results as a tracker: in each frame a target gets the box of its result. Images and corrections have no
    influence."""

    def __init__(self, read: Callable[[str], np.ndarray]):
        """read: the boxes [T, 4] (xywh, pixels) of a sequence by its name; raises InputError where there are none."""
        self._read = read

    def start(
        self, frames: Sequence[Images | Frame], boxes: Sequence[np.ndarray], names: Sequence[str] = ()
    ) -> list[Target]:
        """As `Tracker.start`; `names` are those of the results. The first box is the result's, not the given one,
        unless the result has none."""
        targets = super().start(frames, boxes, names)
        return [self._at(replace(target, state=self._rows(target)), 0) for target in targets]

    def track(
        self, targets: Sequence[Target], frames: Sequence[Images | Frame], observe: Observer | None = None
    ) -> list[Target]:
        """The targets with the next row of their results. Raises InputError where a result has too few rows."""
        return [self._at(target, target.age + 1) for target in targets]

    def _rows(self, target: Target) -> np.ndarray:
        rows = self._read(target.name)
        if len(rows) and not np.isfinite(rows[0]).all():
            return np.concatenate([target.box[None], rows[1:]])
        return rows

    @staticmethod
    def _at(target: Target, row: int) -> Target:
        boxes = target.state
        if row >= len(boxes):
            raise InputError(f"{target.name}: its result has {len(boxes)} boxes, none for frame {row + 1}")
        found = bool(np.isfinite(boxes[row]).all())
        return replace(target, box=boxes[row], score=float(found), found=found, age=row)
