"""Sequence folders for tests."""

from pathlib import Path

import cv2
import numpy as np

#: 60 frames, 320x256, of a target that `tiny` follows; its boxes are exact
SYNTHETIC_SEQUENCE = Path(__file__).parent / "data" / "synthetic_sequence"

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
