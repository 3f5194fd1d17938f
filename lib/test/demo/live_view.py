"""What a tracker sees while it tracks a data set, on a visdom server."""

import time
from collections.abc import Sequence as Many

import numpy as np
import torch

from ...core.crop import cut
from ...core.frame import Frame
from ...core.target import Target
from ...core.view import View
from ...core.visdom import Visdom
from ...datasets.sequence import Sequence
from ..tracker.device_crop import cut_views
from ..tracker.protocol import HeatMap
from ..video.draw import GAP, GREEN, ORANGE, Mark, draw_frame

FASTEST = 10  # frames shown in a second; the others pass unseen
TRACKING, REGION, SCORES, INFO = "Tracking", "search_region", "score_map", "info"  # windows


class LiveView:
    """Shows the first of the sequences that are tracked: frame with boxes, search region, score map, some words.

    The box is orange, dashed where the target counts as lost; the annotation is green. A frame is left out where the
    one before is still on its way to the server, so a run is as fast as without.
    """

    def __init__(self, windows: Visdom):
        self.windows = windows
        self._next = 0.0
        self._seen: dict[str, tuple[View, HeatMap | None]] = {}  # by name
        self._last: tuple[str, int, float] = ("", 0, 0.0)  # sequence, frame and moment that were shown last

    def wants(self) -> bool:
        """Whether the next frame is to be shown."""
        return time.monotonic() >= self._next and self.windows.ready

    def observe(self, targets: Many[Target], views: Many[Many[View]], heats: Many[HeatMap | None]) -> None:
        """As `Watcher`: keeps what was seen of the targets until `show` names the one to show."""
        known = zip(targets, views, heats, strict=True)
        self._seen |= {target.name: (shown[0], heat) for target, shown, heat in known}

    def show(self, sequence: Sequence, index: int, frame: Frame, target: Target) -> None:
        """As `Watcher`."""
        now = time.monotonic()
        self._next = now + 1 / FASTEST
        view, heat = self._seen.get(target.name, (None, None))
        self._seen = {}
        self.windows.show_image(TRACKING, lambda: self._picture(sequence, index, frame, target))
        if view is not None:
            self.windows.show_image(REGION, lambda: draw_region(frame, view))
        if heat is not None:
            self.windows.show_map(SCORES, heat.scores)
        name, last, moment = self._last
        speed = f"{(index - last) / (now - moment):.1f} frames/s\n" if name == sequence.name and now > moment else ""
        found = "found" if target.found else "lost"
        words = f"{sequence.name}\nframe {index + 1} of {len(sequence)}\n{speed}score {target.score:.3f}, {found}"
        self.windows.show_text(INFO, words)
        self._last = (sequence.name, index, now)

    @staticmethod
    def _picture(sequence: Sequence, index: int, frame: Frame, target: Target) -> np.ndarray:
        scale = 1 / frame.reduction
        marks = [Mark(target.box * scale, f"{target.score:.2f}", ORANGE, dashed=not target.found)]
        truth = annotated_box(sequence, index)
        if truth is not None:
            marks.insert(0, Mark(truth * scale, "", GREEN))
        return draw_frame(frame.images, marks)


def annotated_box(sequence: Sequence, index: int) -> np.ndarray | None:
    """The annotation of a frame, [4] xywh; None where there is none, or the target is absent there."""
    rows = np.arange(len(sequence.boxes)) if sequence.annotated is None else np.asarray(sequence.annotated)
    row = np.flatnonzero(rows == index)
    box = sequence.boxes[row[0]] if row.size else None
    return box if box is not None and np.isfinite(box).all() and (box[2:] > 0).all() else None


def draw_region(frame: Frame, view: View) -> np.ndarray:
    """The crops of a frame's modalities side by side: [S, M S + (M - 1) GAP, 3] uint8 RGB."""
    if frame.reduction == 1:
        crops = [cut(image, view.of(number)) for number, image in enumerate(frame.images)]
    else:
        crops = list(cut_views([(frame, view)], torch.device("cpu"))[0].permute(0, 2, 3, 1).numpy())
    gap = np.zeros((crops[0].shape[0], GAP, 3), np.uint8)
    return np.concatenate([part for crop in crops for part in (crop, gap)][:-1], axis=1)
