"""Registration of two cameras that see one scene: the homography from infrared to visible pixels, given or estimated.

A homography is exact for a flat scene, and nearly exact if the cameras are close together compared with the distance of
the scene. Near objects keep a parallax that no single homography removes.
"""

import logging
from pathlib import Path

import cv2
import numpy as np

from ...core.atomic import write_atomically
from ...core.errors import InputError
from ...datasets.sequence import Frames
from .align import Alignment, align

log = logging.getLogger(__name__)

ESTIMATE = "estimate"
ESTIMATE_PAIRS = 5  # frame pairs that the homography is estimated from
#: Share and number of blocks that must be confirmed. Of 40 pairs of unrelated street scenes the best reaches a share of
#: 0.10; of 40 related pairs, those with a wrong estimate reach 0.05 (docs/own_videos.md).
LEAST_SHARE, LEAST_BLOCKS = 0.12, 16


def read_homography(path: str | Path) -> np.ndarray:
    """[3, 3] float64, infrared pixel -> visible pixel, from a text file of nine numbers.

    Raises InputError where the file is missing, holds anything else, or a matrix that cannot be inverted.
    """
    try:
        words = Path(path).read_text(encoding="utf-8").replace(",", " ").split()
        matrix = np.array([float(word) for word in words])
    except FileNotFoundError:
        raise InputError(f"--register {path}: no such file; give one of nine numbers, or: {ESTIMATE}") from None
    except ValueError:
        matrix = np.array([])
    if matrix.shape != (9,) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix.reshape(3, 3))) < 1e-12:
        raise InputError(
            f"--register {path}: expected nine numbers, the 3x3 homography from infrared to visible pixels"
        )
    return matrix.reshape(3, 3)


def write_homography(path: Path, matrix: np.ndarray) -> None:
    """Write a homography [3, 3] as `read_homography` reads it."""
    with write_atomically(path) as temporary:
        temporary.write_text("\n".join(" ".join(f"{value:.12g}" for value in row) for row in matrix) + "\n")


def warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An infrared image warped to the visible one: [height, width, 3] uint8, black outside the infrared image.

    size: width and height of the visible image.
    """
    return cv2.warpPerspective(image, matrix, size, flags=cv2.INTER_LINEAR)


def scaling(visible: np.ndarray, infrared: np.ndarray) -> np.ndarray:
    """[3, 3] infrared -> visible pixels of two images [H, W, 3] that show the same scene at different resolutions.
    Integer coordinates are centres of pixels."""
    across, down = (visible.shape[side] / infrared.shape[side] for side in (1, 0))
    return np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])


def estimate_homography(paired: Frames) -> np.ndarray:
    """[3, 3] infrared -> visible pixels, estimated from a few frames of a video whose streams may differ in size.

    Raises InputError where too few blocks confirm the estimate.
    """
    picked = np.unique(np.linspace(0, len(paired) - 1, min(ESTIMATE_PAIRS, len(paired))).round().astype(int))
    pairs = [paired[index] for index in picked.tolist()]
    return check_alignment(align([visible for visible, _ in pairs], [infrared for _, infrared in pairs]))


def check_alignment(found: Alignment) -> np.ndarray:
    """The matrix [3, 3] of an alignment. Raises InputError where too few blocks confirm it."""
    if found.agreeing < max(LEAST_BLOCKS, LEAST_SHARE * found.blocks):
        raise InputError(
            f"--register {ESTIMATE}: the images of the two cameras do not agree ({found.agreeing} of {found.blocks} "
            "blocks confirmed); give a homography measured on a few points: --register FILE"
        )
    log.info("registration: confirmed by %d of %d blocks of the images", found.agreeing, found.blocks)
    return found.matrix
