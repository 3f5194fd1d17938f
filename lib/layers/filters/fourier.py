"""Fourier series of feature maps and score maps on a period: for filters that are learned in the Fourier domain (C-COT,
ECCV 2016; ECO, CVPR 2017), and for values between cells.

A real map has the centred half of its series: rows -k to k, columns 0 to k, complex; the other columns are the
conjugates. C channels, n cells of a map, N = 2 k + 1 frequencies, K = k + 1 columns.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad


def to_series(maps: Tensor) -> Tensor:
    """The discrete Fourier transform, [..., n, n] -> [..., N, K] complex with N = n, or n + 1 where n is even: the
    highest row frequency then stands at both ends."""
    size = maps.shape[-2]
    half = size // 2
    columns = torch.fft.rfft2(maps)
    return torch.cat([columns[..., (size + 1) // 2 :, :], columns[..., : half + 1, :]], dim=-2)


def frequencies(series: Tensor) -> tuple[Tensor, Tensor]:
    """The frequencies of rows [N, 1] and columns [K] of a series."""
    rows, columns = series.shape[-2:]
    high = (rows - 1) // 2
    real = series.real if series.is_complex() else series
    y = torch.arange(-high, high + 1, dtype=real.dtype, device=series.device)
    return y[:, None], torch.arange(columns, dtype=real.dtype, device=series.device)


def shift(series: Tensor, offset: Tensor) -> Tensor:
    """The series of maps whose content moves by -offset: offset [..., 2] y x in radians (2 pi is a period), of the
    leading dimensions of series [..., N, K] or fewer."""
    y, x = frequencies(series)
    down, right = offset[..., :1, None], offset[..., 1:, None]
    return series * torch.polar(torch.ones_like(y), y * down) * torch.polar(torch.ones_like(x), x * right)


def sample(series: Tensor, size: int) -> Tensor:
    """The values of a series at size x size points of its period, from 0 on: [..., N, K] -> [..., size, size].

    Raises ValueError for fewer points than frequencies.
    """
    rows, columns = series.shape[-2:]
    if size < rows:
        raise ValueError(f"{size} points cannot hold {rows} frequencies")
    half = columns - 1
    lower, upper = series[..., :half, :], series[..., half:, :]
    empty = series.new_zeros(*series.shape[:-2], size - rows, columns)
    whole = pad(torch.view_as_real(torch.cat([upper, empty, lower], dim=-2)), (0, 0, 0, size // 2 + 1 - columns))
    return torch.fft.irfft2(torch.view_as_complex(whole.contiguous()), s=(size, size)) * size**2


def interpolate(maps: Tensor, size: int) -> Tensor:
    """The periodic function with the frequencies of maps (ATOM, CVPR 2019): [..., n, n] -> [..., size, size]. Cell k is
    at place k size / n.

    The highest frequency of an even number of cells counts whole on both sides, where half is exact, so that the values
    at the cells differ a little from the map's. The published tracker's thresholds were chosen with this.
    """
    return sample(to_series(maps) / maps.shape[-1] ** 2, size)


def add_series(parts: list[Tensor]) -> Tensor:
    """The sum of series of the same maps with different numbers of frequencies: those of [..., N, K] -> the largest."""
    largest = max(parts, key=lambda part: part.shape[-1])
    total = torch.zeros_like(largest)
    for part in parts:
        margin = (largest.shape[-2] - part.shape[-2]) // 2
        total[..., margin : margin + part.shape[-2], : part.shape[-1]] += part
    return total


def inner_product(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of the whole series of real maps, conjugate halves included: two [..., N, K] -> scalar."""
    return inner_weights(a.shape[-1], a.device) @ (a.conj() * b).real.flatten(0, -2).sum(0)


def inner_weights(columns: int, device: torch.device) -> Tensor:
    """How often each column of a half series occurs in the whole one: [K]."""
    weights = torch.full((columns,), 2.0, device=device)
    weights[0] = 1
    return weights


def make_symmetric(series: Tensor) -> Tensor:
    """A half series whose column 0 is that of a real map: [..., N, K] -> same shape."""
    first = (series[..., 0] + series[..., 0].flip(-1).conj()) / 2
    return torch.cat([first[..., None], series[..., 1:]], dim=-1)


def cubic_kernel(size: int, a: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """The series of the cubic kernel that interpolates `size` cells (odd), moved by half a cell, as a value is that of
    the middle of its cell (C-COT, section 3.3): rows [N, 1] and columns [K] complex. a: the slope of the kernel.

    In float32, as the published code computes it: differences of nearly equal numbers change the lowest frequencies by
    up to half a percent, and a more exact kernel would not be the one that its settings were tuned with.
    """
    f = torch.arange(-(size // 2), size // 2 + 1, dtype=torch.float32) / size
    two, four = 2 * math.pi * f, 4 * math.pi * f
    even = 6 * (1 - two.cos()) + 3 * a * (1 - four.cos())
    numerator = even - (6 + 8 * a) * math.pi * f * two.sin() - 2 * a * math.pi * f * four.sin()
    kernel = torch.where(f == 0, 1.0, numerator / (4 * math.pi**4 * torch.where(f == 0, 1.0, f) ** 4)) / size
    whole = (torch.polar(torch.ones_like(f), -math.pi * f) * kernel).to(device)
    return whole[:, None], whole[size // 2 :]


def gaussian_label(size: int, sigma: float, device: torch.device) -> Tensor:
    """The series of a periodic Gauss function around 0, with a standard deviation of `sigma` of `size` cells: [N, K]
    real."""
    rows = torch.arange(-(size // 2), size // 2 + 1, dtype=torch.float64)
    one = math.sqrt(2 * math.pi) * sigma / size * torch.exp(-2 * (math.pi * sigma * rows / size) ** 2)
    return torch.outer(one, one[size // 2 :]).float().to(device)


def inner_hann(size: int, device: torch.device) -> Tensor:
    """The outer product of two Hann windows without their zeros: [size, size]."""
    ramp = torch.hann_window(size + 2, periodic=False, device=device)[1:-1]
    return torch.outer(ramp, ramp)
