"""Image files as 8-bit colours."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH  # 16 bit stays 16 bit


def join(images: Sequence[np.ndarray]) -> np.ndarray:
    """One frame from an image per modality: M times [H, W, 3] BGR as OpenCV reads them -> [H, W, 3 M] RGB."""
    return cv2.merge([channel for image in images for channel in cv2.split(image)[::-1]])


def decode(path: Path, flags: int) -> np.ndarray | None:
    """An image file as OpenCV reads it; None where it is damaged, of another kind, or states too many pixels."""
    try:  # imread of OpenCV 5.0 cannot transpose TIFF files, which their orientation tag may ask for
        return cv2.imdecode(np.fromfile(path, np.uint8), flags)
    except cv2.error:
        return None


def load(path: Path) -> np.ndarray | None:
    """An image file as it is stored: [H, W, 3] BGR of uint8, uint16 or, for floats and signed numbers, float32; None
    for an unreadable file."""
    image = decode(path, COLOUR)
    if image is None:  # OpenCV reads no floats as colours
        image = decode(path, cv2.IMREAD_UNCHANGED)
    if image is None or (image.ndim == 3 and image.dtype in (np.uint8, np.uint16)):
        return image
    image = np.nan_to_num(image.astype(np.float32), nan=float(np.nanmedian(image)))
    return image if image.ndim == 3 else cv2.merge([image] * 3)


def read_image(path: Path, span: tuple[float, float] | None) -> np.ndarray | None:
    """[H, W, 3] uint8 BGR; None for an unreadable file. span: as `measure_range` returns it."""
    image = load(path)
    if image is None or image.dtype == np.uint8:
        return image
    if span is None:
        return (image.clip(0, 65535) // 256).astype(np.uint8)
    return ((image.astype(np.float32) - span[0]) * (255 / (span[1] - span[0]))).clip(0, 255).round().astype(np.uint8)


def measure_range(paths: Sequence[Path]) -> tuple[float, float] | None:
    """The values of more than 8 bit that become 0 and 255 in all images of a folder, by the rule of
    lib/datasets/depth.py. None: there are none, or all of the range of 16 bit is used and the high byte serves."""
    picked = np.unique(np.linspace(0, len(paths) - 1, min(16, len(paths))).round().astype(int))
    kept = read_deep([paths[index] for index in picked]) or read_deep(paths)[:16]
    if not any((values % 256).any() and (values % 257).any() for values in kept):
        return None
    tails = [len(values) // 10000 for values in kept]
    low = sorted(float(values[tail]) for values, tail in zip(kept, tails, strict=True))[len(kept) // 8]
    high = sorted(float(values[-1 - tail]) for values, tail in zip(kept, tails, strict=True))[-1 - len(kept) // 8]
    if high - low >= 1 << 14 and kept[0].dtype == np.uint16:
        return None
    kind = "16-bit" if kept[0].dtype == np.uint16 else "float"
    print(f"{paths[0].parent}: {kind} values {low:g} to {high:g} become 0 to 255 in the whole video")
    return low, max(high, low + 1)


def read_deep(paths: Sequence[Path]) -> list[np.ndarray]:
    """The sorted values of each image of more than 8 bit, without its border and single pixels that stick out."""
    found = []
    for path in paths:
        image = load(path)
        if image is None or image.dtype == np.uint8:
            continue
        rows, columns = image.shape[0] // 32, image.shape[1] // 32
        if rows and columns:
            image = cv2.medianBlur(np.ascontiguousarray(image[rows:-rows, columns:-columns]), 3)
        found.append(np.sort(image, axis=None))
    return found
