"""The boxes that a visitor of the browser app draws: by two clicks, by dragging or in numbers, for several targets."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from ...core.errors import InputError
from ..tracker.protocol import check_first_box
from ..video.draw import BLACK, COLOURS
from .boxes import parse_box

LEAST_SIDE = 4  # pixels; a smaller box comes from a double click
MOST_TARGETS = len(COLOURS)
HINT = "Click two opposite corners of the target, or drag a box around it."


@dataclass
class DrawnBoxes:
    """The boxes on one video, and a corner that waits for the opposite one."""

    boxes: dict[int, dict[int, np.ndarray]] = field(default_factory=dict)  # frame from 0 -> target -> [4] xywh, pixels
    corner: tuple[int, int, np.ndarray] | None = None  # frame, target, [2] x and y

    def point(self, frame: int, target: int, first: np.ndarray, second: np.ndarray) -> str:
        """A mouse that was pressed at `first` and released at `second`, [2] pixels: a corner, or a whole box.

        Returns what to do next.
        """
        if np.abs(second - first).max() >= LEAST_SIDE:
            return self._add(frame, target, first, second)
        if self.corner is None or self.corner[:2] != (frame, target):
            self.corner = frame, target, first
            self._remove(frame, target)
            return "Now click the opposite corner."
        return self._add(frame, target, self.corner[2], second)

    def enter(self, frame: int, target: int, text: str, size: tuple[int, int]) -> str:
        """A box as the text `x,y,w,h` in a frame of this height and width. Returns all boxes as text.

        Raises InputError for any other text, and for a box that tracking cannot start from.
        """
        try:
            box = parse_box(text)
        except InputError as error:
            raise InputError(str(error).removeprefix("--box ")) from None
        check_first_box(box, size, f"frame {frame + 1}")
        self._set(frame, target, box)
        return self.describe()

    def clear(self) -> None:
        """Forget all boxes."""
        self.boxes, self.corner = {}, None

    def describe(self) -> str:
        """The boxes so far as text."""
        several = any(target > 1 for boxes in self.boxes.values() for target in boxes)
        places = [
            f"frame {frame + 1}" + (f", target {target}" if several else "") + ": " + ",".join(f"{v:.0f}" for v in box)
            for frame, boxes in sorted(self.boxes.items())
            for target, box in sorted(boxes.items())
        ]
        return "Boxes (x,y,w,h): " + "; ".join(places) if places else HINT

    def draw(self, image: np.ndarray, frame: int) -> np.ndarray:
        """Draw the boxes of a frame into its image [H, W, 3], which keeps its size."""
        for target, box in self.boxes.get(frame, {}).items():
            image = _outline(image, box, target)
        if self.corner is not None and self.corner[0] == frame:
            image = _outline(image, np.array([*(self.corner[2] - 3), 6, 6]), self.corner[1])
        return image

    def _add(self, frame: int, target: int, first: np.ndarray, second: np.ndarray) -> str:
        box = np.concatenate([np.minimum(first, second), np.abs(second - first)]).astype(np.float64)
        if min(box[2:]) < LEAST_SIDE:
            self.corner = None
            return f"That box is too small. {HINT}"
        self._set(frame, target, box)
        return self.describe()

    def _set(self, frame: int, target: int, box: np.ndarray) -> None:
        self.boxes.setdefault(frame, {})[target] = box
        self.corner = None

    def _remove(self, frame: int, target: int) -> None:
        self.boxes.get(frame, {}).pop(target, None)
        if not self.boxes.get(frame, True):
            del self.boxes[frame]


def _outline(image: np.ndarray, box: np.ndarray, target: int) -> np.ndarray:
    first, second = (corner.round().astype(int).tolist() for corner in (box[:2], box[:2] + box[2:]))
    thickness = max(1, round(image.shape[0] / 240))
    for colour, width in ((BLACK, thickness + 2), (COLOURS[(target - 1) % len(COLOURS)], thickness)):
        cv2.rectangle(image, first, second, colour, width, cv2.LINE_AA)
    return image
