"""Where one picture lies in another that a different spectrum made: by oriented gradients, coarse to fine.

Surfaces that are bright in one spectrum may be dark in the other, but most edges remain. Every pixel is described by
how its surroundings' gradients share out over K unsigned orientations (as in CFOG: Ye et al., TGRS 2019), less their
mean, so that flat and isotropic places count for nothing and unlike pictures correlate around zero.

N pairs of pictures, K orientations, H x W pixels.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

ORIENTATIONS = 6
COARSE = 224  # longest side of the fixed picture while scale and shift are searched, pixels
SCALES = np.geomspace(0.3, 1.9, 47)  # widths of the moving picture that are tried, the fixed one's as unit
LEAST_OVERLAP = 0.3  # of the smaller picture's area
BLOCK, STRIDE = 72, 24  # pixels
ROUNDS = ((240, 14), (240, 8), (400, 8), (400, 5))  # shorter side, how far a block may lie from where it is expected
PROOF = (400, 24)  # as a round: a false alignment, fitted within short reaches, finds better places in a long one
LEAST_BLOCKS = 8  # for a round to be worth its fit
TOLERANCE = 2.0  # pixels by which a block that agrees may miss
LEAST_ENERGY = 0.25  # of the mean block's: below, a block has too few edges to be found again


class Alignment(NamedTuple):
    """A homography and how well it was confirmed: blocks looked for far around where it puts them."""

    matrix: np.ndarray  # [3, 3] float64, pixel of the moving picture -> pixel of the fixed one
    agreeing: int  # blocks that are best where they should be
    blocks: int  # blocks with enough edges to be looked for


def align(fixed: Sequence[np.ndarray], moving: Sequence[np.ndarray]) -> Alignment:
    """One homography for N pairs of [H, W, 3] uint8 pictures; all fixed ones have one size, all moving ones too."""
    matrix = search_similarity(fixed, moving)
    for side, reach in ROUNDS:
        view = _View.of(fixed[0], side, matrix)
        here, there = _match_blocks(fixed, moving, view, reach)
        if len(here) < LEAST_BLOCKS:
            break
        step, _ = cv2.findHomography(there, here, cv2.USAC_MAGSAC, TOLERANCE, maxIters=5000, confidence=0.999)
        if step is None:
            break
        matrix = np.linalg.inv(view.to_fixed) @ step @ view.to_fixed @ matrix
    matrix = matrix / matrix[2, 2]
    here, there = _match_blocks(fixed, moving, _View.of(fixed[0], PROOF[0], matrix), PROOF[1])
    missed = np.linalg.norm(here - there, axis=1)
    return Alignment(matrix, int((missed <= TOLERANCE).sum()), len(here))


class _View(NamedTuple):
    """A reduced picture into which both are brought."""

    to_fixed: np.ndarray  # [3, 3] pixel of the fixed picture -> pixel of the view
    to_moving: np.ndarray  # [3, 3] pixel of the moving picture -> pixel of the view
    size: tuple[int, int]  # width, height

    @classmethod
    def of(cls, fixed: np.ndarray, side: int, matrix: np.ndarray) -> "_View":
        """Shorter side `side`; the moving picture is put where `matrix` says."""
        shrink = side / min(fixed.shape[:2])
        down = np.diag([shrink, shrink, 1.0])
        return cls(down, down @ matrix, (round(fixed.shape[1] * shrink), round(fixed.shape[0] * shrink)))


def describe(image: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8 -> [H, W, K] float32, zero where nothing has a direction."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    angles = (np.arange(ORIENTATIONS) * (np.pi / ORIENTATIONS)).astype(np.float32)
    strength = np.stack([np.abs(across * np.cos(a) + down * np.sin(a)) for a in angles], axis=2)
    strength = cv2.GaussianBlur(strength, (0, 0), 1.5)
    norm = np.linalg.norm(strength, axis=2, keepdims=True)
    shares = strength / (norm + 0.5 * norm.mean() + 1e-3)
    return shares - shares.mean(axis=2, keepdims=True)


def search_similarity(fixed: Sequence[np.ndarray], moving: Sequence[np.ndarray]) -> np.ndarray:
    """The scale and shift at which N pairs agree best, over all of SCALES and all shifts: [3, 3], moving -> fixed."""
    height, width = fixed[0].shape[:2]
    shrink = COARSE / max(height, width)
    targets = [describe(_resize(image, shrink, shrink)) for image in fixed]
    rows, columns = targets[0].shape[:2]
    best, found = -np.inf, np.eye(3)
    for relative in SCALES:
        scale = relative * columns / moving[0].shape[1]
        sources = [describe(_resize(image, scale, scale)) for image in moving]
        if min(sources[0].shape[:2]) < 24:
            continue
        score, dx, dy = _best_shift(targets, sources)
        if score > best:
            best = score
            found = np.array([[scale, 0, dx], [0, scale, dy], [0, 0, 1]])
    return np.diag([width / columns, height / rows, 1.0]) @ found


def _best_shift(targets: Sequence[np.ndarray], sources: Sequence[np.ndarray]) -> tuple[float, int, int]:
    """Correlation over its spread by chance, and the shift of `sources` at which it is highest."""
    (rows, columns), (height, width) = targets[0].shape[:2], sources[0].shape[:2]
    shape = cv2.getOptimalDFTSize(rows + height), cv2.getOptimalDFTSize(columns + width)

    def spectrum(stack: np.ndarray) -> np.ndarray:
        return np.fft.rfft2(stack, shape, axes=(0, 1))

    total: Any = 0.0
    spread: Any = 0.0
    for target, source in zip(targets, sources, strict=True):
        total = total + (spectrum(target) * spectrum(source).conj()).sum(axis=2)
        spread = spread + spectrum((target**2).sum(axis=2)) * spectrum((source**2).sum(axis=2)).conj()
    overlap = spectrum(np.ones((rows, columns))) * spectrum(np.ones((height, width))).conj()
    total, spread, overlap = (np.fft.irfft2(part, shape, axes=(0, 1)) for part in (total, spread, overlap))
    score = total / np.sqrt(np.maximum(spread, 1e-9))
    score[overlap < LEAST_OVERLAP * min(rows * columns, height * width)] = -np.inf
    dy, dx = np.unravel_index(score.argmax(), score.shape)
    best = float(score[dy, dx])
    return best, int(dx - shape[1] if dx > columns else dx), int(dy - shape[0] if dy > rows else dy)


def _match_blocks(
    fixed: Sequence[np.ndarray],
    moving: Sequence[np.ndarray],
    view: _View,
    reach: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Middles of blocks of the fixed picture and where the moving one shows them, at most `reach` pixels away on each
    axis: [P, 2], [P, 2] pixels of the view.
    """
    to_fixed, to_moving, size = view
    inside = cv2.warpPerspective(np.ones(moving[0].shape[:2], np.uint8), to_moving, size)
    targets = [describe(cv2.warpPerspective(image, to_fixed, size, flags=cv2.INTER_AREA)) for image in fixed]
    sources = [describe(cv2.warpPerspective(image, to_moving, size)) for image in moving]
    inside = cv2.erode(inside, np.ones((7, 7), np.uint8), borderValue=0)[..., None]
    sources = [source * inside for source in sources]
    energy = cv2.boxFilter(sum((t**2).sum(axis=2) for t in targets), -1, (BLOCK, BLOCK))
    half, (width, height) = BLOCK // 2, size
    here, there = [], []
    least = LEAST_ENERGY * float(energy.mean())
    for y in range(half + reach, height - half - reach, STRIDE):
        for x in range(half + reach, width - half - reach, STRIDE):
            if energy[y, x] < least or not inside[y - half : y + half, x - half : x + half].all():
                continue
            shift = _find_block(targets, sources, (x, y), reach)
            here.append((x, y))
            there.append((x + shift[0], y + shift[1]))
    return np.array(here, np.float64).reshape(-1, 2), np.array(there, np.float64).reshape(-1, 2)


def _find_block(
    targets: Sequence[np.ndarray], sources: Sequence[np.ndarray], middle: tuple[int, int], reach: int
) -> tuple[float, float]:
    """Sub-pixel shift at which the block around `middle` is found."""
    (x, y), half = middle, BLOCK // 2
    total: Any = 0.0
    power: Any = 0.0
    for target, source in zip(targets, sources, strict=True):
        block = target[y - half : y + half, x - half : x + half]
        area = source[y - half - reach : y + half + reach, x - half - reach : x + half + reach]
        total = total + cv2.matchTemplate(area, block, cv2.TM_CCORR)
        squares = cv2.boxFilter((area**2).sum(axis=2), -1, (BLOCK, BLOCK), normalize=False)
        power = power + squares[half : half + 2 * reach + 1, half : half + 2 * reach + 1]
    score = total / np.sqrt(np.maximum(power, 1e-6))
    row, column = np.unravel_index(score.argmax(), score.shape)
    if 0 < row < 2 * reach and 0 < column < 2 * reach:  # else the best place may lie beyond, with no slope to refine
        column += _peak(score[row, column - 1 : column + 2])
        row += _peak(score[row - 1 : row + 2, round(column)])
    return float(column - reach), float(row - reach)


def _peak(three: np.ndarray) -> float:
    """Where the parabola through three values is highest, relative to the middle one."""
    left, middle, right = (float(value) for value in three)
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0


def _resize(image: np.ndarray, across: float, down: float) -> np.ndarray:
    size = max(1, round(image.shape[1] * across)), max(1, round(image.shape[0] * down))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
