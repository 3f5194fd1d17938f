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
COARSE = 192  # longest side of the fixed picture while scale and shift are searched, pixels
SCALES = np.geomspace(0.3, 1.9, 31)  # widths of the moving picture that are tried, the fixed one's as unit
TURNS = (-7.0, 0.0, 7.0)  # degrees of the moving picture that are tried
LEAST_SIDE = 24  # pixels of the moving picture, below which a scale is not tried
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
    matrix = search_similarity(fixed[::2], moving[::2])
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
    """The turn, scale and shift at which N pairs agree best, over all of TURNS and SCALES and all shifts: [3, 3],
    moving -> fixed."""
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
    """[H, W, 3] uint8 -> [H, W, K] float32 of the turned image; zero where that does not reach."""
    size = image.shape[1], image.shape[0]
    inside = cv2.warpAffine(np.ones(image.shape[:2], np.uint8), turning, size)
    inside = cv2.erode(inside, np.ones((5, 5), np.uint8), borderValue=1)
    return describe(cv2.warpAffine(image, turning, size, borderMode=cv2.BORDER_REPLICATE)) * inside[..., None]


class _Shifts:
    """Correlation with fixed pictures' descriptions [H, W, K] at every shift, for moving ones of one size."""

    def __init__(self, targets: Sequence[np.ndarray], size: tuple[int, int]):
        """size: width and height of the moving pictures."""
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
        """Correlation over its spread by chance, and the shift of `sources` at which it is highest."""
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
