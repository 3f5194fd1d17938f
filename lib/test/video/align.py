"""Registration of two images of different spectra by oriented gradients, coarse to fine.

A surface that is bright in one spectrum may be dark in the other, but most edges are in both. Every pixel is described
by the distribution of the gradients around it over K unsigned orientations (as in CFOG: Ye et al., TGRS 2019), minus
its mean. So flat and isotropic regions have no weight, and unrelated images have a correlation near zero.

N pairs of images, K orientations, H x W pixels.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

ORIENTATIONS = 6
COARSE = 192  # longest side of the fixed image while scale and shift are searched, pixels
SCALES = np.geomspace(0.3, 1.9, 31)  # widths of the moving image that are tried, relative to the fixed one's
TURNS = (-7.0, 0.0, 7.0)  # rotations of the moving image that are tried, degrees
LEAST_SIDE = 24  # pixels of the moving image, below which a scale is not tried
LEAST_OVERLAP = 0.3  # of the smaller image's area
BLOCK, STRIDE = 72, 24  # pixels
ROUNDS = ((240, 14), (240, 8), (400, 8), (400, 5))  # shorter side of the images, search radius of a block, pixels
#: Final check, as a round. In its larger radius, blocks of a wrong alignment match better elsewhere.
PROOF = (400, 24)
LEAST_BLOCKS = 8  # for the fit of a round
TOLERANCE = 2.0  # largest error of a block that agrees, pixels
LEAST_ENERGY = 0.25  # relative to the mean block; a block below it has too few edges to be found


class Alignment(NamedTuple):
    """A homography, and how many blocks confirm it when they are searched for in a large radius."""

    matrix: np.ndarray  # [3, 3] float64, pixel of the moving image -> pixel of the fixed one
    agreeing: int  # blocks that match best where the homography puts them
    blocks: int  # blocks with enough edges to be searched for


def align(fixed: Sequence[np.ndarray], moving: Sequence[np.ndarray]) -> Alignment:
    """One homography for N pairs of [H, W, 3] uint8 images. All fixed images have one size, and so have all moving."""
    matrix = search_similarity(fixed[::2], moving[::2])
    for side, reach in ROUNDS:
        grid = _CommonGrid.of(fixed[0], side, matrix)
        here, there = _match_blocks(fixed, moving, grid, reach)
        if len(here) < LEAST_BLOCKS:
            break
        step, _ = cv2.findHomography(there, here, cv2.USAC_MAGSAC, TOLERANCE, maxIters=5000, confidence=0.999)
        if step is None:
            break
        matrix = np.linalg.inv(grid.to_fixed) @ step @ grid.to_fixed @ matrix
    matrix = matrix / matrix[2, 2]
    here, there = _match_blocks(fixed, moving, _CommonGrid.of(fixed[0], PROOF[0], matrix), PROOF[1])
    missed = np.linalg.norm(here - there, axis=1)
    return Alignment(matrix, int((missed <= TOLERANCE).sum()), len(here))


class _CommonGrid(NamedTuple):
    """The pixel grid of a reduced image, to which both images are resampled."""

    to_fixed: np.ndarray  # [3, 3] pixel of the fixed image -> pixel of the grid
    to_moving: np.ndarray  # [3, 3] pixel of the moving image -> pixel of the grid
    size: tuple[int, int]  # width, height

    @classmethod
    def of(cls, fixed: np.ndarray, side: int, matrix: np.ndarray) -> "_CommonGrid":
        """side: length of the shorter side, pixels; matrix: pixel of the moving image -> pixel of the fixed one."""
        shrink = side / min(fixed.shape[:2])
        down = np.diag([shrink, shrink, 1.0])
        return cls(down, down @ matrix, (round(fixed.shape[1] * shrink), round(fixed.shape[0] * shrink)))


def describe(image: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8 -> [H, W, K] float32, zero where no orientation prevails."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    angles = (np.arange(ORIENTATIONS) * (np.pi / ORIENTATIONS)).astype(np.float32)
    strength = np.stack([np.abs(across * np.cos(a) + down * np.sin(a)) for a in angles], axis=2)
    strength = cv2.GaussianBlur(strength, (0, 0), 1.5)
    norm = np.linalg.norm(strength, axis=2, keepdims=True)
    shares = strength / (norm + 0.5 * norm.mean() + 1e-3)
    return shares - shares.mean(axis=2, keepdims=True)


def search_similarity(fixed: Sequence[np.ndarray], moving: Sequence[np.ndarray]) -> np.ndarray:
    """The best rotation, scale and shift for N pairs, over TURNS, SCALES and all shifts: [3, 3] moving -> fixed."""
    height, width = fixed[0].shape[:2]
    shrink = COARSE / max(height, width)
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    targets = [describe(cv2.resize(image, size, interpolation=cv2.INTER_AREA)) for image in fixed]
    best, found = -np.inf, np.eye(3)
    for relative in SCALES:
        scale = relative * size[0] / moving[0].shape[1]
        small = round(moving[0].shape[1] * scale), round(moving[0].shape[0] * scale)
        if min(small) < LEAST_SIDE:
            continue
        shifts = _Shifts(targets, small)
        reduced = [cv2.resize(image, small, interpolation=cv2.INTER_AREA) for image in moving]
        for turn in TURNS:
            turning = cv2.getRotationMatrix2D(((small[0] - 1) / 2, (small[1] - 1) / 2), turn, 1.0)
            score, dx, dy = shifts.best([_describe_turned(image, turning) for image in reduced])
            if score > best:
                best = score
                shift = np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]])
                found = shift @ np.vstack([turning, [0, 0, 1]]) @ np.diag([scale, scale, 1.0])
    return np.diag([width / size[0], height / size[1], 1.0]) @ found


def _describe_turned(image: np.ndarray, turning: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8 -> [H, W, K] float32 of the rotated image; zero outside it."""
    size = image.shape[1], image.shape[0]
    inside = cv2.warpAffine(np.ones(image.shape[:2], np.uint8), turning, size)
    inside = cv2.erode(inside, np.ones((5, 5), np.uint8), borderValue=1)
    return describe(cv2.warpAffine(image, turning, size, borderMode=cv2.BORDER_REPLICATE)) * inside[..., None]


class _Shifts:
    """Correlation with the descriptions [H, W, K] of fixed images at every shift, for moving images of one size."""

    def __init__(self, targets: Sequence[np.ndarray], size: tuple[int, int]):
        """size: width and height of the moving images."""
        self.rows, self.columns = targets[0].shape[:2]
        self.shape = (cv2.getOptimalDFTSize(self.rows + size[1]), cv2.getOptimalDFTSize(self.columns + size[0]))
        self.targets = [self.spectrum(target) for target in targets]
        self.energies = [self.spectrum((target**2).sum(axis=2)) for target in targets]
        areas = self.spectrum(np.ones((self.rows, self.columns))) * self.spectrum(np.ones(size[::-1])).conj()
        least = LEAST_OVERLAP * min(self.rows * self.columns, size[0] * size[1])
        self.outside = np.fft.irfft2(areas, self.shape, axes=(0, 1)) < least

    def spectrum(self, stack: np.ndarray) -> np.ndarray:
        """[H, W] or [H, W, K] -> Fourier coefficients over H and W"""
        return np.fft.rfft2(stack, self.shape, axes=(0, 1))

    def best(self, sources: Sequence[np.ndarray]) -> tuple[float, int, int]:
        """The highest correlation, in units of its random spread, and the shift of `sources` at which it occurs."""
        total: Any = 0.0
        spread: Any = 0.0
        for target, energy, source in zip(self.targets, self.energies, sources, strict=True):
            total = total + (target * self.spectrum(source).conj()).sum(axis=2)
            spread = spread + energy * self.spectrum((source**2).sum(axis=2)).conj()
        total, spread = (np.fft.irfft2(part, self.shape, axes=(0, 1)) for part in (total, spread))
        score = total / np.sqrt(np.maximum(spread, 1e-9))
        score[self.outside] = -np.inf
        dy, dx = np.unravel_index(score.argmax(), score.shape)
        left = int(dx) - (self.shape[1] if dx > self.columns else 0)
        top = int(dy) - (self.shape[0] if dy > self.rows else 0)
        return float(score[dy, dx]), left, top


def _match_blocks(
    fixed: Sequence[np.ndarray],
    moving: Sequence[np.ndarray],
    grid: _CommonGrid,
    reach: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Centres of blocks of the fixed image, and where they match the moving one, at most `reach` pixels away on each
    axis: [P, 2], [P, 2] pixels of the grid.
    """
    to_fixed, to_moving, size = grid
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
    """Sub-pixel shift at which the block around `middle` matches best."""
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
    if 0 < row < 2 * reach and 0 < column < 2 * reach:  # at the border the best match may lie outside
        column += _peak(score[row, column - 1 : column + 2])
        row += _peak(score[row - 1 : row + 2, round(column)])
    return float(column - reach), float(row - reach)


def _peak(three: np.ndarray) -> float:
    """Where the parabola through three values is highest, relative to the middle one."""
    left, middle, right = (float(value) for value in three)
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0
