"""Contact sheets of labelled sequences: what a person looks at before they are used."""

from collections.abc import Sequence

import cv2
import numpy as np

from ..video.draw import FONT, ORANGE, WHITE

PICTURES, CELL = 8, 180  # of a sequence; side of each in pixels
ROWS = 10  # sequences of a sheet
AROUND = 3.0  # side of the square that a picture shows, over the longer side of the target
LEAST_SIDE = 48.0  # of that square, pixels
STRIP = 20  # height of a title in pixels


def spread(length: int) -> list[int]:
    """The frames of a sequence that its row shows."""
    return np.linspace(0, length - 1, PICTURES).round().astype(int).tolist()


def sheet_row(title: str, frames: Sequence[Sequence[np.ndarray]], boxes: np.ndarray, length: int) -> np.ndarray:
    """The row of one sequence: a title and one line of pictures for each stream, [h, PICTURES * CELL, 3] uint8 RGB.

    frames: of `spread(length)`, each with one image [H, W, 3] for each stream; boxes: [PICTURES, 4] xywh, of these.
    """
    strip = np.zeros((STRIP, PICTURES * CELL, 3), np.uint8)
    _write(strip, title, (4, STRIP - 5))
    known = boxes[boxes[:, 2] > 0][0]
    lines = []
    for images in zip(*frames, strict=True):
        cells = []
        for image, box, place in zip(images, boxes, spread(length), strict=True):
            known = box if box[2] > 0 else known
            cells.append(_picture(image, box, known, f"{place + 1}/{length}"))
        lines.append(np.concatenate(cells, axis=1))
    return np.concatenate([strip, *lines])


def _picture(image: np.ndarray, box: np.ndarray, around: np.ndarray, text: str) -> np.ndarray:
    """A box with what is around it; of an unlabelled frame the place of the last box."""
    centre, side = around[:2] + around[2:] / 2, max(LEAST_SIDE, AROUND * around[2:].max())
    scale, corner = CELL / side, centre - side / 2
    cell = cv2.warpAffine(
        image, np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]]), (CELL, CELL)
    )
    if box[2] > 0:
        start, end = np.round((np.stack([box[:2], box[:2] + box[2:]]) - corner) * scale).astype(int).tolist()
        cv2.rectangle(cell, start, end, ORANGE, 1)
    _write(cell, text, (3, CELL - 5))
    return cell


def _write(canvas: np.ndarray, text: str, place: tuple[int, int]) -> None:
    cv2.putText(canvas, text, place, FONT, 0.45, WHITE, 1, cv2.LINE_AA)
