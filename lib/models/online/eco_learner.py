"""One kind of ECO's features for a target: compression, filter, and the samples that the filter is learned from.

B targets, V scales, M samples, C channels, D compressed channels, n cells of a map, N x K frequencies.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor

from ...layers.filters.conjugate_gradient import Direction
from ...layers.filters.eco_filter import FilterProblem, Penalty, compress, first_compression
from ...layers.filters.fourier import cubic_kernel, gaussian_label, inner_hann, shift, to_series
from ..sample_memory import SampleMemory


class Block(NamedTuple):
    """What is learned of a target for one kind of features."""

    filters: Tensor  # [B, D, N, K] complex
    compression: Tensor  # [B, C, D]


class Seen(NamedTuple):
    """What a block makes of search regions."""

    samples: Tensor  # [B, V, D, N, K] complex
    responses: Tensor  # [B, V, N, K] complex


class BlockRules(NamedTuple):
    """The settings of one kind of features."""

    channels: int  # D
    rate: float  # weight of a new sample
    sigma: float  # deviation of the label in sizes of the target
    least: float  # penalty in the middle of the target
    edge: float  # penalty at its edge
    sparsity: float  # share of the largest frequency below which one of the penalty is dropped
    compression_penalty: float  # of the squared values of the compression
    slope: float  # of the cubic kernel

    def see(self, block: Block, maps: Tensor) -> Seen:
        """[B, V, C, n, n] -> Seen"""
        compressed = torch.einsum("bvcyx,bcd->bvdyx", maps, block.compression)
        samples = self.interpolate(compressed)
        return Seen(samples, (samples * block.filters[:, None]).sum(2))

    def interpolate(self, maps: Tensor) -> Tensor:
        """The series of windowed maps: [..., n, n] -> [..., N, K]"""
        series = to_series(maps * inner_hann(maps.shape[-1], maps.device))
        rows, columns = cubic_kernel(series.shape[-2], self.slope, maps.device)
        return series * rows * columns

    def problem(self, cells: int, size: int, target: tuple[float, float], device: torch.device) -> FilterProblem:
        """What the filter solves. cells: N; size: side of a crop; target: height and width in its pixels."""
        sigma = self.sigma * (target[0] * target[1]) ** 0.5 / size * cells
        kernel = Penalty(self.least, self.edge, self.sparsity).kernel(size, target, device)
        return FilterProblem(gaussian_label(cells, sigma, device), kernel)


class BlockLearner:
    """What one target owns for one kind of features. Changed in place."""

    def __init__(self, problem: FilterProblem, samples: SampleMemory, energy: Tensor):
        self.problem, self.samples, self.energy = problem, samples, energy
        self.direction: Direction | None = None

    def improve(self, filters: Tensor, newest: Tensor, rate: float, learning: EasyDict) -> Tensor:
        """The filter [1, D, N, K] after LEARN.ITERATIONS; newest: the sample of this frame [1, D, N, K]."""
        (samples, weights) = self.samples.used()
        fresh = self.problem.energy(newest, newest.real.new_ones(1))
        self.energy = (1 - rate) * self.energy + rate * fresh
        better, self.direction = self.problem.improve(
            filters[0], samples[0], weights[0], self.energy, learning.ITERATIONS,
            last=self.direction, forget=(1 - rate) ** learning.FORGET,
        )  # fmt: skip
        return better[None]


class Learner:
    """What one target owns: the learners of both kinds of features. Changed in place."""

    def __init__(self, blocks: tuple[BlockLearner, ...]):
        self.blocks, self.age = blocks, 0

    def add(self, samples: Sequence[Tensor], rules: Sequence[BlockRules], interval: int) -> bool:
        """Keep the samples of a frame, each [1, D, N, K]. Returns whether the filters are to learn."""
        self.age += 1
        for block, own, rule in zip(self.blocks, samples, rules, strict=True):
            block.samples.add(own, rule.rate)
        return self.age % interval == 0

    def improve(
        self, blocks: Sequence[Block], samples: Sequence[Tensor], rules: Sequence[BlockRules], learning: EasyDict
    ) -> tuple[Block, ...]:
        """The blocks of the target, [1, ...] each, with better filters."""
        parts = zip(self.blocks, blocks, samples, rules, strict=True)
        return tuple(
            block._replace(filters=learner.improve(block.filters, own, rule.rate, learning))
            for learner, block, own, rule in parts
        )


def first_block(
    maps: Tensor,
    offsets: Tensor,
    rules: BlockRules,
    shape: tuple[int, tuple[float, float]],
    steps: tuple[int, int],
    memory: int,
) -> tuple[Block, BlockLearner]:
    """What is learned from the first frame: maps [M, C, n, n], offsets [M, 2] y x of the target from the middle of each
    sample in radians of the period.

    shape: side of a crop, and height and width of the target in it, pixels; steps: Gauss-Newton steps, and conjugate
    gradient iterations in each; memory: number of samples that are kept later.
    """
    start = first_compression(maps, min(rules.channels, maps.shape[1]))
    series = shift(rules.interpolate(maps), offsets[:, None])
    problem = rules.problem(series.shape[-2], *shape, maps.device)
    weights = maps.new_full((len(maps),), 1 / len(maps))
    filters, compression = problem.learn_with_compression(start, series, weights, *steps, rules.compression_penalty)
    samples = compress(series, compression)
    kept = SampleMemory(samples, memory, 0.0)
    learner = BlockLearner(problem, kept, problem.energy(samples, weights))
    return Block(filters[None], compression[None]), learner
