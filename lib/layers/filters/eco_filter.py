"""A correlation filter of ECO for one kind of features: compressed samples, a spatial penalty, and how both the filter
and the compression are learned (Danelljan et al., CVPR 2017; the penalty: SRDCF, ICCV 2015).

M samples, C channels, D compressed channels, N x K frequencies (lib.layers.filters.fourier).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from .conjugate_gradient import Direction, Vector, add, conjugate_gradient
from .fourier import inner_product, inner_weights, make_symmetric


class Penalty(NamedTuple):
    """How a filter's values far from its middle are penalised (SRDCF)."""

    least: float  # weight in the middle
    edge: float  # weight at the target's edge, where the distance is half its size
    sparsity: float  # frequencies of the weights below this share of the largest one are dropped

    def kernel(self, size: int, target: tuple[float, float], device: torch.device) -> Tensor:
        """The series of the weights, which multiplies as a convolution: [2 p + 1, 2 q + 1] real.

        size: pixels of the period; target: height and width in its pixels. The lowest weight stays `least`.
        """
        places = torch.arange(size, dtype=torch.float32) - (size - 1) // 2
        bowl = [(places / (side / 2)).square() for side in target]
        window = self.least + (self.edge - self.least) * (bowl[0][:, None] + bowl[1])
        series = torch.fft.fft2(window) / size**2
        series = torch.where(series.abs() < self.sparsity * series.abs().max(), 0, series)
        series[0, 0] += self.least - torch.fft.ifft2(series).real.min() * size**2
        centred = torch.fft.fftshift(series.real)
        middle = size // 2
        used = centred.nonzero() - middle
        rows, columns = used.abs().amax(0).tolist()
        return centred[middle - rows : middle + rows + 1, middle - columns : middle + columns + 1].to(device)


class Preconditioner(NamedTuple):
    """Shares in the approximate inverses that speed up learning (ECO's published settings)."""

    data: float = 0.3  # of each frequency's own energy; the rest: the mean of the channels
    penalty: float = 0.15  # of the penalty's energy
    compression: float = 35.0  # weight for the compression


class FilterProblem(NamedTuple):
    """The weighted squared error of a filter's responses, plus its penalty."""

    label: Tensor  # [N, K] real
    kernel: Tensor  # [2 p + 1, 2 q + 1] of the penalty
    preconditioner: Preconditioner = Preconditioner()

    def product(self, samples: Tensor, weights: Tensor, filters: Tensor) -> Tensor:
        """The system's matrix times a filter: samples [M, D, N, K], weights [M], filter [D, N, K] -> [D, N, K]"""
        responses = (samples * filters).sum(1) * weights[:, None, None]
        return (samples.conj() * responses[:, None]).sum(0) + self.penalise(filters)

    def right_side(self, samples: Tensor, weights: Tensor) -> Tensor:
        """The system's right side: [D, N, K]"""
        return torch.tensordot(weights.to(samples.dtype), samples.conj(), 1) * self.label

    def penalise(self, filters: Tensor) -> Tensor:
        """Half the gradient of the penalty: filter [D, N, K] -> [D, N, K]"""
        high, wide = (side // 2 for side in self.kernel.shape)
        columns = filters.shape[-1]
        whole = torch.cat([filters[..., 1:].flip(-1, -2).conj(), filters], dim=-1)
        parts = torch.view_as_real(whole).permute(0, 3, 1, 2).flatten(0, 1)[:, None]
        kernel = self.kernel[None, None]
        weighted = conv2d(pad(parts, (2 * wide, 2 * wide, 2 * high, 2 * high)), kernel.flip(2, 3))
        back = conv2d(weighted, kernel)[:, 0].unflatten(0, (-1, 2)).permute(0, 2, 3, 1)
        return torch.view_as_complex(back.contiguous())[..., columns - 1 :]

    def energy(self, samples: Tensor, weights: Tensor) -> Tensor:
        """The energy of samples in each channel and frequency: [M, D, N, K], [M] -> [D, N, K] real"""
        return torch.tensordot(weights, samples.real.square() + samples.imag.square(), 1)

    def diagonal(self, energy: Tensor) -> Tensor:
        """An approximation of the system's diagonal from the samples' energy [D, N, K]."""
        own = self.preconditioner
        data = own.data * energy + (1 - own.data) * energy.mean(0, keepdim=True)
        return (1 - own.penalty) * data + own.penalty * self.kernel.square().sum()

    def improve(
        self,
        filters: Tensor,
        samples: Tensor,
        weights: Tensor,
        energy: Tensor,
        iterations: int,
        *,
        last: Direction | None = None,
        forget: float = 1.0,
    ) -> tuple[Tensor, Direction | None]:
        """A better filter, [D, N, K], and the direction for the next call. energy: [D, N, K] for the preconditioner."""
        diagonal = self.diagonal(energy)
        residual = self.right_side(samples, weights) - self.product(samples, weights, filters)
        (better,), direction = conjugate_gradient(
            lambda vector: (self.product(samples, weights, vector[0]),),
            (filters,),
            (residual,),
            iterations,
            inner=_inner,
            precondition=lambda vector: (vector[0] / diagonal,),
            last=last,
            forget=forget,
        )
        return make_symmetric(better), direction

    def learn_with_compression(
        self,
        compression: Tensor,
        samples: Tensor,
        weights: Tensor,
        steps: int,
        iterations: int,
        penalty: float,
    ) -> tuple[Tensor, Tensor]:
        """A first filter [D, N, K] and a better compression [C, D]: Gauss-Newton steps, each solved by conjugate
        gradients (ECO, section 3.1).

        samples: [M, C, N, K] not compressed; compression: [C, D] to begin with; penalty: of its squared values.
        """
        filters = samples.new_zeros(compression.shape[1], *samples.shape[2:])
        diagonal = self.diagonal(self.energy(compress(samples, compression), weights))
        label = inner_product(self.label + 0j, self.label + 0j)
        spread = self.preconditioner.compression * (2 * label / compression.shape[1] + penalty)
        for _ in range(steps):
            step = _Linearised(self, samples, weights, compression, filters, penalty)
            start = (torch.zeros_like(filters), torch.zeros_like(compression))
            change, _ = conjugate_gradient(
                step.product,
                start,
                step.residual(),
                iterations,
                inner=_inner,
                precondition=lambda vector: (vector[0] / diagonal, vector[1] / spread),
            )
            filters, compression = add((filters, compression), change)
        return make_symmetric(filters), compression


class _Linearised:
    """The least squares problem of a Gauss-Newton step in the filter and the compression."""

    def __init__(
        self,
        problem: FilterProblem,
        samples: Tensor,
        weights: Tensor,
        compression: Tensor,
        filters: Tensor,
        penalty: float,
    ):
        self.problem, self.samples, self.weights = problem, samples, weights
        self.compression, self.filters, self.penalty = compression, filters, penalty
        self.compressed = compress(samples, compression)
        self.often = inner_weights(samples.shape[-1], samples.device)

    def product(self, vector: Vector) -> Vector:
        filters, compression = vector
        spread = torch.einsum("cd,dnk->cnk", compression.to(self.filters.dtype), self.filters)
        changes = (self.compressed * filters).sum(1) + (self.samples * spread).sum(1)
        data = self._back(changes)
        return data[0] + self.problem.penalise(filters), data[1] + self.penalty * compression

    def residual(self) -> Vector:
        """The negative gradient where the step begins."""
        errors = self.problem.label - (self.compressed * self.filters).sum(1)
        data = self._back(errors)
        return (
            data[0] - self.problem.penalise(self.filters),
            data[1] - self.penalty * self.compression,
        )

    def _back(self, errors: Tensor) -> Vector:
        """The transposed step: errors [M, N, K] -> for the filter [D, N, K] and the compression [C, D]."""
        weighted = errors * self.weights[:, None, None]
        filters = (self.compressed.conj() * weighted[:, None]).sum(0)
        seen = (self.samples.conj() * (weighted * self.often)[:, None]).sum(0)
        return filters, torch.einsum("cnk,dnk->cd", seen, self.filters.conj()).real


def compress(samples: Tensor, compression: Tensor) -> Tensor:
    """[..., C, n, n] by [C, D] -> [..., D, n, n]"""
    return torch.einsum("...cnk,cd->...dnk", samples, compression.to(samples.dtype))


def first_compression(features: Tensor, channels: int) -> Tensor:
    """The principal directions of features: [M, C, n, n] -> [C, channels]."""
    flat = features.transpose(0, 1).flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    return torch.linalg.svd(flat @ flat.T)[0][:, :channels].clone()


def _inner(a: Vector, b: Vector) -> Tensor:
    """The inner product of vectors of a filter, or of a filter and a compression."""
    total = inner_product(a[0], b[0])
    return total if len(a) == 1 else total + (a[1] * b[1]).sum()
