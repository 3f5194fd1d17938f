"""Drawing tracking results: boxes, labels and scores on the modalities side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
GAP = 4  # pixels between the panels
SHEET_PICTURES = 8
EDGE = ((0, 2 * GAP), (0, 2 * GAP), (0, 0))  # below and to the right of each picture of a contact sheet
LEAST_HEIGHT, MOST_HEIGHT = 360, 1080  # of a panel, pixels: smaller images are enlarged, larger ones reduced

GREEN, ORANGE, WHITE, BLACK = (60, 220, 90), (255, 160, 30), (255, 255, 255), (0, 0, 0)  # RGB
COLOURS = (  # RGB; green is the annotation's
    ORANGE,
    (70, 170, 255),
    (255, 90, 200),
    (255, 240, 60),
    (255, 70, 60),
    (170, 130, 255),
    (0, 230, 230),
)


@dataclass(frozen=True)
class Mark:
    """A box to draw: xywh in pixels of the frame. A box without area is not drawn."""

    box: np.ndarray
    label: str = ""
    colour: tuple[int, int, int] = ORANGE  # RGB
    dashed: bool = False  # for a target that is lost


def draw_frame(images: Sequence[np.ndarray], marks: Sequence[Mark], titles: Sequence[str] = ()) -> np.ndarray:
    """The images of one frame side by side, with the same marks on each: [H', W', 3] uint8 RGB.

    images: [H, W, 3] uint8 RGB, one per modality; titles: one for each image. Each image is resized to a height between
    360 and 1080 pixels; lines and letters are scaled with it. Width and height of the result are even, as video
    encoders require.
    """
    scale = float(np.clip(1.0, LEAST_HEIGHT / images[0].shape[0], MOST_HEIGHT / images[0].shape[0]))
    height, width = (round(side * scale) for side in images[0].shape[:2])
    panels = []
    for index, image in enumerate(images):
        panel = _resize(image, width, height)
        for mark in marks:
            _draw_mark(panel, mark, scale)
        if titles:
            panel = np.concatenate([panel, _title_strip(panel, titles[index])])
        panels += [panel, np.zeros((panel.shape[0], GAP, 3), np.uint8)]
    whole = np.concatenate(panels[:-1], axis=1)
    return np.pad(whole, ((0, whole.shape[0] % 2), (0, whole.shape[1] % 2), (0, 0)))


def overlay_heat(image: np.ndarray, scores: np.ndarray, region: np.ndarray) -> np.ndarray:
    """A score map over an image [H, W, 3] uint8 RGB: the higher a score, the redder and the less transparent.

    scores: [n, n] in [0, 1]; region: [4] xywh, the pixels that the map covers; it may extend outside the image.
    """
    x, y, w, h = (float(value) for value in region)
    cells = np.array([[w / scores.shape[1], 0, x], [0, h / scores.shape[0], y]])
    to_pixels = cells @ np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]) - np.array([[0, 0, 0.5], [0, 0, 0.5]])
    size = image.shape[1], image.shape[0]
    smooth = np.clip(cv2.warpAffine(scores.astype(np.float32), to_pixels, size, flags=cv2.INTER_CUBIC), 0, 1)
    colours = cv2.cvtColor(cv2.applyColorMap((255 * smooth).astype(np.uint8), cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    share = 0.7 * smooth[..., None]
    return (image * (1 - share) + colours * share).astype(np.uint8)


def colour_of(number: int) -> tuple[int, int, int]:
    """The RGB colour of a target by its number, from 1."""
    return COLOURS[(number - 1) % len(COLOURS)]


def overlay_mask(image: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """A mask over an image [H, W, 3] uint8 RGB: the more likely a pixel belongs to the target, the more it is coloured;
    an outline where that is as likely as not. mask: [H, W] in [0, 1]; colour: RGB."""
    share = 0.5 * mask[..., None]
    shown = (image * (1 - share) + np.array(colour) * share).astype(np.uint8)
    outlines = cv2.findContours((mask > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[-2]
    cv2.drawContours(shown, outlines, -1, colour, max(1, _thickness(image) // 2), cv2.LINE_AA)
    return shown


def contact_sheet(pictures: Sequence[np.ndarray], columns: int = 2, width: int = 800) -> np.ndarray:
    """Images of one size in a grid, row by row: uint8 RGB. Each is reduced to at most `width` pixels."""
    height, full = pictures[0].shape[:2]
    cell = min(width, full)
    cells = [np.pad(_resize(picture, cell, round(height * cell / full)), EDGE) for picture in pictures]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.concatenate(cells[start : start + columns], axis=1) for start in range(0, len(cells), columns)]
    return np.concatenate(rows, axis=0)


class SheetPictures:
    """Pictures for a contact sheet of a video of any length: evenly spread ones and the last one."""

    def __init__(self) -> None:
        self.added, self._stride = 0, 1
        self._kept: list[np.ndarray] = []
        self._last: np.ndarray | None = None

    def add(self, picture: np.ndarray) -> None:
        """Add the next picture of the video."""
        if self.added % self._stride == 0:
            self._kept.append(picture)
        if len(self._kept) > 4 * SHEET_PICTURES:
            self._kept, self._stride = self._kept[::2], 2 * self._stride
        self._last, self.added = picture, self.added + 1

    def chosen(self) -> list[np.ndarray]:
        """At most SHEET_PICTURES of the pictures."""
        pictures = [*self._kept, self._last] if self._last is not self._kept[-1] else self._kept
        places = np.linspace(0, len(pictures) - 1, min(SHEET_PICTURES, len(pictures))).round().astype(int)
        return [pictures[place] for place in places]


def legend_strip(texts: Sequence[tuple[str, tuple[int, int, int]]], width: int, panel_height: int) -> np.ndarray:
    """Coloured texts on black, in as many lines as needed: [h, width, 3] uint8 RGB, h even.

    texts: text and RGB colour; panel_height: height of the image above the strip, which sets the size of letters.
    """
    sizes = [_text_size(text, panel_height) for text, _ in texts]
    line_height = max(height for _, height in sizes)
    places, left, line = [], 0, 0
    for text_width, _ in sizes:
        if left and left + text_width > width:
            left, line = 0, line + 1
        places.append((left, line * line_height))
        left += text_width
    strip = np.zeros((2 * -(-(line + 1) * line_height // 2), width, 3), np.uint8)
    for (text, colour), place in zip(texts, places, strict=True):
        _put_text(strip, text, place, colour, panel_height)
    return strip


def _resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize; always returns a new array, since marks are drawn into it."""
    if image.shape[:2] == (height, width):
        return image.copy()
    shrink = height < image.shape[0]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)


def _draw_mark(panel: np.ndarray, mark: Mark, scale: float) -> None:
    x, y, w, h = np.asarray(mark.box, np.float64) * scale
    if not (w > 0 and h > 0):
        return
    thickness = _thickness(panel)
    corners = (round(x), round(y)), (round(x + w), round(y + h))
    if mark.dashed:
        _draw_dashes(panel, corners, mark.colour, thickness)
    else:
        cv2.rectangle(panel, *corners, BLACK, thickness + 2, cv2.LINE_AA)
        cv2.rectangle(panel, *corners, mark.colour, thickness, cv2.LINE_AA)
    if mark.label:
        _draw_text(panel, mark.label, (round(x), round(y) - thickness, round(y + h) + thickness), mark.colour)


def _draw_dashes(
    panel: np.ndarray, corners: tuple[tuple[int, int], tuple[int, int]], colour: tuple[int, int, int], thickness: int
) -> None:
    """A rectangle of coloured dashes on a black line; dashes and gaps have the same length."""
    (left, top), (right, bottom) = corners
    ring = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], np.float64)
    cv2.rectangle(panel, *corners, BLACK, thickness, cv2.LINE_AA)
    for start, end in zip(ring, ring[1:], strict=False):
        pieces = max(3, round(np.linalg.norm(end - start) / (4 * thickness)) | 1)  # odd: colour at both ends
        stops = np.linspace(start, end, pieces + 1).round().astype(int).tolist()
        for here, there in list(zip(stops, stops[1:], strict=False))[::2]:
            cv2.line(panel, here, there, colour, thickness, cv2.LINE_AA)


def _title_strip(panel: np.ndarray, title: str) -> np.ndarray:
    """A black strip with the title, as wide as the panel; it goes under the panel."""
    strip = np.zeros((_text_size("(Xg)", panel.shape[0])[1], panel.shape[1], 3), np.uint8)
    _put_text(strip, title, (0, 0), WHITE, panel.shape[0])
    return strip


def _draw_text(panel: np.ndarray, text: str, place: tuple[int, int, int], colour: tuple[int, int, int]) -> None:
    """A label on a black rectangle that stays inside the panel.

    place: left edge; bottom edge of a label above the box; top edge of a label below it, where there is no room above.
    """
    left, above, below = place
    height, width = panel.shape[:2]
    plate_width, plate_height = _text_size(text, height)
    top = above - plate_height if above >= plate_height else below
    corner = min(max(left, 0), max(width - plate_width, 0)), min(top, max(height - plate_height, 0))
    opposite = corner[0] + plate_width, corner[1] + plate_height
    cv2.rectangle(panel, corner, opposite, BLACK, cv2.FILLED)
    _put_text(panel, text, corner, colour, height)


def _put_text(
    canvas: np.ndarray, text: str, corner: tuple[int, int], colour: tuple[int, int, int], panel_height: int
) -> None:
    size, weight, edge = _letters(panel_height)
    (_, text_height), _ = cv2.getTextSize(text, FONT, size, weight)
    origin = corner[0] + edge, corner[1] + edge // 2 + text_height
    cv2.putText(canvas, text, origin, FONT, size, colour, weight, cv2.LINE_AA)


def _text_size(text: str, panel_height: int) -> tuple[int, int]:
    """Width and height in pixels of the rectangle that a text needs."""
    size, weight, edge = _letters(panel_height)
    (width, height), base = cv2.getTextSize(text, FONT, size, weight)
    return width + 2 * edge, height + base + edge


def _letters(panel_height: int) -> tuple[float, int, int]:
    """Font scale, line width and margin in pixels: a line of text is about 1/25 of the panel's height."""
    return panel_height / 700, max(1, round(panel_height / 500)), max(3, round(panel_height / 160))


def _thickness(panel: np.ndarray) -> int:
    return max(2, round(panel.shape[0] / 240))
