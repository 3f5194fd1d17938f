"""The window that shows tracking while it runs. In it a person draws boxes, pauses, and switches the score map."""

import os
import sys
from collections.abc import Iterable

import cv2
import numpy as np

from ...core.errors import InputError

TITLE = "tracking"
KEYS = "space: pause   1-9: new box for that target   n: new target   h: score map   q: end"
NO_WINDOWS = "this OpenCV cannot open a window (the headless package?)"
ESCAPE, SPACE = 27, ord(" ")
REMEDY = "give the target's box in the first frame with --box x,y,w,h or --boxes FILE"


def has_screen() -> bool:
    """Whether a window can be shown. Only Linux is checked; on other systems OpenCV reports it when a window opens."""
    return not sys.platform.startswith("linux") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


def require_screen() -> None:
    """Raise InputError where no box can be drawn, since there is no screen."""
    if not has_screen():
        raise InputError(f"no screen to select a target on; {REMEDY}")


def draw_box_by_mouse(image: np.ndarray) -> np.ndarray:
    """Let the user draw the target's box on an image [H, W, 3] uint8 RGB: [4] xywh pixels.

    Raises InputError when there is no screen or no box was drawn.
    """
    box = _select(image, "draw a box around the target, then press ENTER")
    if box is None:
        raise InputError(f"no box was drawn; {REMEDY}")
    return box


class Window:
    """Shows each picture and reads the keys that are pressed."""

    def __init__(self, heat: bool = False):
        """heat: whether score maps are shown at the start. Raises InputError where there is no screen."""
        if not has_screen():
            raise InputError("--window: there is no screen here; leave it out")
        try:
            cv2.namedWindow(TITLE)
        except cv2.error:
            raise InputError(f"--window: {NO_WINDOWS}") from None
        self.heat = heat
        self.ended = False
        self._paused = False

    def show(self, picture: np.ndarray, image: np.ndarray, targets: Iterable[int]) -> dict[int, np.ndarray]:
        """Show one picture and return the box that the user draws: target number -> [4] xywh, pixels of `image`. Empty:
        go on to the next frame. The keys set `ended` and `heat`.

        image: [H, W, 3] uint8 RGB of this frame, to draw on; targets: numbers of the targets in it.
        """
        numbers = list(targets)
        cv2.imshow(TITLE, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        while True:
            key = cv2.waitKey(0 if self._paused else 1) & 0xFF
            self._paused ^= key == SPACE
            self.heat ^= key == ord("h")
            self.ended = key in (ord("q"), ESCAPE)
            chosen = key - ord("0")
            number = max(numbers, default=0) + 1 if key == ord("n") else chosen if chosen in numbers else 0
            if number:
                box = _select(image, f"draw a box around target {number}, then press ENTER (c: cancel)")
                return {} if box is None else {number: box}
            if self.ended or not self._paused:
                return {}


def _select(image: np.ndarray, title: str) -> np.ndarray | None:
    """[4] xywh pixels; None where no box was drawn. Raises InputError where there is no screen."""
    require_screen()
    try:
        box = cv2.selectROI(title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), showCrosshair=False)
        cv2.destroyWindow(title)
    except cv2.error:
        raise InputError(f"{NO_WINDOWS}; {REMEDY}") from None
    return np.array(box, np.float64) if box[2] > 0 and box[3] > 0 else None
