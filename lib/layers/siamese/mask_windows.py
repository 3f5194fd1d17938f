"""SiamMask's refinement of a mask for one cell of the score map (Wang et al., CVPR 2019).

B search regions, N cells that are looked at, C hidden channels, c channels of the trunk's first convolution, n score
cells on each side.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from ..precision import own_precision
from ..refine.mask import MaskHead

SIDE = 127  # pixels of a mask on each side: those of a template
STEP = 8  # pixels of the search region between two cells
BEFORE = 32  # pixels by which the mask of the first cell begins before the search region
_KERNEL = 15  # cells of the first map of a mask


class Cells(NamedTuple):
    """Cells of score maps."""

    sample: Tensor  # [N] int64, which search region
    row: Tensor  # [N] int64
    column: Tensor  # [N] int64


class Scale(NamedTuple):
    """How the windows of one of the trunk's maps lie."""

    margin: int  # rows and columns of zeros around the map
    step: int  # rows between the windows of two cells
    size: int  # rows of a window


#: Of the trunk's first convolution, of level 2 and of level 3.
SCALES = (Scale(16, 4, 61), Scale(8, 2, 31), Scale(4, 1, 15))


class MaskRefinement(MaskHead):
    """From the correlation at a cell to a mask of 127 x 127, in three steps beside the trunk's finer maps. The names of
    modules are the published ones."""

    def __init__(self, hidden: int, base: int):
        """hidden: C; base: c."""
        inputs = max(1, base // 2)
        super().__init__(inputs, base)
        self.deconv = nn.ConvTranspose2d(hidden, inputs, _KERNEL, stride=_KERNEL)

    def refine(self, correlation: Tensor, finer: Sequence[Tensor], cells: Cells) -> Tensor:
        """correlation [B, C, n, n]; finer: the trunk's maps in the order of SCALES, [B, C', f, f] -> logits
        [N, 127, 127]"""
        with own_precision(correlation):
            dtype = self.deconv.weight.dtype
            early, middle, late = (
                cut_windows(maps, cells, scale).to(dtype) for maps, scale in zip(finer, SCALES, strict=True)
            )
            at = correlation[cells.sample, :, cells.row, cells.column].to(dtype)
            x = self.deconv(at[:, :, None, None])
            x = self.post0(_enlarge(self.h2(x) + self.v2(late), SCALES[1].size))
            x = self.post1(_enlarge(self.h1(x) + self.v1(middle), SCALES[0].size))
            return self.post2(_enlarge(self.h0(x) + self.v0(early), SIDE))[:, 0]


def cut_windows(maps: Tensor, cells: Cells, scale: Scale) -> Tensor:
    """The windows of cells: [B, C, f, f] -> [N, C, size, size], 0 outside the maps."""
    padded = pad(maps, (scale.margin,) * 4)
    steps = torch.arange(scale.size, device=maps.device)
    rows, columns = ((place[:, None] * scale.step + steps) for place in (cells.row, cells.column))
    found = padded[cells.sample[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return found.permute(0, 3, 1, 2)


def read_coarse(logits: Tensor, cells: Cells) -> Tensor:
    """The coarse masks of cells, resized: [B, k^2, n, n] -> [N, 127, 127]."""
    at = logits[cells.sample, :, cells.row, cells.column]
    side = round(at.shape[1] ** 0.5)
    return interpolate(at.unflatten(1, (1, side, side)).float(), (SIDE, SIDE), mode="bilinear")[:, 0]


def label_windows(masks: Tensor, cells: Cells) -> Tensor:
    """What the masks of cells should be: [B, S, S] uint8, 255 inside -> [N, 127, 127] bool."""
    return cut_windows(masks[:, None], cells, Scale(BEFORE, STEP, SIDE))[:, 0] > 127


def place_in_region(masks: Tensor, cells: Cells, grid: int) -> Tensor:
    """Masks of one cell of each search region in a square around all masks of its n = `grid` cells, which begins BEFORE
    pixels before the region: [B, 127, 127] -> [B, 8 (n - 1) + 127, same]."""
    side = STEP * (grid - 1) + SIDE
    rows, columns = (place[:, None] * STEP + torch.arange(SIDE, device=masks.device) for place in cells[1:])
    canvas = masks.new_zeros(masks.shape[0], side, side)
    return canvas.index_put((cells.sample[:, None, None], rows[:, :, None], columns[:, None, :]), masks)


def _enlarge(x: Tensor, size: int) -> Tensor:
    return interpolate(x, (size, size), mode="nearest")
