"""Interpolation of score maps by their Fourier series, as ATOM does (CVPR 2019).

n cells on each side of a score map, m places on each side of the finer one.
"""

import torch
from torch import Tensor


def interpolate_scores(scores: Tensor, size: int) -> Tensor:
    """The periodic function with the frequencies of the map: [..., n, n] -> [..., m, m]. Cell k is at place k m / n.

    The highest frequency of an even number of cells counts whole on both sides, where half is exact, so that the values
    at the cells differ a little from the map's. The published tracker's thresholds were chosen with this.
    """
    weights = series_weights(scores.shape[-1], size).to(scores)
    return weights @ scores @ weights.T


def series_weights(cells: int, size: int) -> Tensor:
    """The weight of each cell at each place along one axis: [m, n] float32"""
    places = torch.arange(size, dtype=torch.float64)[:, None] * cells / size
    distance = 2 * torch.pi / cells * (places - torch.arange(cells, dtype=torch.float64))
    total = torch.ones_like(distance)
    for frequency in range(1, cells // 2 + 1):
        total += 2 * torch.cos(frequency * distance)
    return (total / cells).float()
