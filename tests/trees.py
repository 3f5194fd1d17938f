"""Sequence folders for tests."""

from pathlib import Path

import cv2
import numpy as np

#: 60 frames, 320x256, of a target that `tiny` follows; its boxes are exact
SYNTHETIC_SEQUENCE = Path(__file__).parent / "data" / "synthetic_sequence"

SQUARE_FRAMES = 6

ROWS = "10,20,30,40\n11,21,30,40\n12,22,30,40\n"


def put_images(folder: Path, names: list[str]) -> None:
    """Images whose grey value is their position in `names`."""
    folder.mkdir(parents=True)
    for value, name in enumerate(names):
        data = cv2.imencode(Path(name).suffix, np.full((8, 8, 3), 10 * value, np.uint8))[1]
        (folder / name).write_bytes(data.tobytes())


def put_pair(folder: Path, frames: int = 3, rows: str = ROWS, annotations: tuple[str, ...] = ("visible.txt",)) -> None:
    put_images(folder / "visible", [f"v{index:06d}.png" for index in range(frames)])
    put_images(folder / "infrared", [f"i{index:04d}.png" for index in range(frames)])
    for name in annotations:
        (folder / name).write_bytes(rows.encode())


def put_moving_square(folder: Path, *, infrared: bool = True, rows: int = SQUARE_FRAMES) -> np.ndarray:
    """A sequence of a bright square that moves 3 pixels per frame; returns its boxes. rows: those that are annotated"""
    boxes = np.array([(20 + 3 * index, 20, 16, 16) for index in range(SQUARE_FRAMES)], float)
    streams = ("visible", "infrared") if infrared else ("img",)
    for stream in streams:
        (folder / stream).mkdir(parents=True)
        for index, (x, y, w, h) in enumerate(boxes.astype(int)):
            image = np.random.default_rng(0).integers(0, 60, (80, 96, 3)).astype(np.uint8)
            image[y : y + h, x : x + w] += 180
            cv2.imwrite(str(folder / stream / f"{index:04d}.png"), image)
    name = "visible.txt" if infrared else "groundtruth.txt"
    np.savetxt(folder / name, boxes[:rows], fmt="%d", delimiter=",")
    return boxes
