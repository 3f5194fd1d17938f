"""The folders of a sequence's two streams, and signs that two streams are not what they are called."""

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from .layout import is_image
from .sequence import INFRARED, VISIBLE

#: Names of a stream's folder, in any case; the first that is there is read.
FOLDERS = {
    VISIBLE: ("visible", "rgb", "vis", "color", "colour", "img"),
    INFRARED: ("infrared", "thermal", "ir", "tir", "lwir"),
}
GREY, COLOURED = 8, 16  # of 255: largest difference of the channels of a grey image, least one of a coloured image
FLAT = 4  # of 255: standard deviation below which an image shows nothing


def find_stream_folders(folder: Path) -> dict[str, Path]:
    """Stream -> its folder of images; empty where there is none. Names other than LasHeR's `visible` and
    `infrared` count only for a folder that holds images."""
    inside = {path.name.lower(): path for path in subfolders(folder)}  # of "Visible" and "visible" the latter stays
    found = {}
    for stream, names in FOLDERS.items():
        there = [inside[name] for name in names if name in inside]
        there = [path for path in there if path.name.lower() == stream or holds_images(path)]
        if there:
            found[stream] = there[0]
    return found


def find_unread_folders(folder: Path, read: Collection[Path]) -> list[str]:
    """Names of the folders of images in a sequence's folder that are none of its streams."""
    return [path.name for path in subfolders(folder) if path not in read and holds_images(path)]


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, without hidden ones and without those that macOS adds to archives."""
    names = [path for path in folder.iterdir() if not path.name.startswith(".") and path.name != "__MACOSX"]
    return sorted(path for path in names if path.is_dir())


def holds_images(folder: Path) -> bool:
    """Whether at least one file of a folder is an image."""
    with os.scandir(folder) as entries:
        return any(is_image(entry.name) for entry in entries)


def doubt_streams(visible: np.ndarray, infrared: np.ndarray) -> str:
    """Why a pair of images, [H, W, 3] uint8 RGB, is hardly a visible and an infrared one, in a few words; empty where
    nothing speaks against it."""
    if np.array_equal(visible, infrared) and visible.std() > FLAT:
        return "both streams show the same picture; is one recording given twice?"
    if _colour(visible) <= GREY and _colour(infrared) >= COLOURED:
        return "the visible picture is grey and the infrared one is coloured; are the two swapped?"
    return ""


def _colour(image: np.ndarray) -> float:
    """The difference of the channels that 5 % of the pixels exceed."""
    return float(np.percentile(np.ptp(image, axis=2), 95))
