"""Series, conjugate gradients and ECO's filters against sums that are written out."""

import numpy as np
import pytest
import torch

from lib.layers.filters import fourier
from lib.layers.filters.conjugate_gradient import conjugate_gradient
from lib.layers.filters.eco_filter import FilterProblem, Penalty, compress, first_compression


def whole(series):
    """A half series with its conjugate columns: [..., N, K] -> [..., N, 2 K - 1]"""
    return torch.cat([series[..., 1:].flip(-1, -2).conj(), series], dim=-1)


def noise(*shape, seed=0, complex_=False):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=random, dtype=torch.complex64 if complex_ else torch.float32)


def test_a_sampled_series_is_the_map_that_it_was_made_of():
    maps = noise(2, 3, 7, 7)
    series = fourier.to_series(maps) / 49
    assert series.shape == (2, 3, 7, 4)
    finer = fourier.sample(series, 14)
    torch.testing.assert_close(finer[..., ::2, ::2], maps, atol=1e-5, rtol=0)
    torch.testing.assert_close(fourier.to_series(finer)[..., 4:-4, :4] / 196, series, atol=1e-5, rtol=0)
    assert fourier.to_series(finer).shape == (2, 3, 15, 8), "an even side has its highest frequency at both ends"
    with pytest.raises(ValueError, match="6 points cannot hold 7 frequencies"):
        fourier.sample(series, 6)


def test_shifting_moves_content_towards_the_origin():
    maps = torch.zeros(1, 15, 15)
    maps[0, 6, 4] = 1
    series = fourier.to_series(maps) / 225
    moved = fourier.sample(fourier.shift(series, 2 * torch.pi / 15 * torch.tensor([6.0, 4.0])), 15)
    assert moved[0].argmax() == 0 and moved[0, 0, 0] == pytest.approx(1, abs=1e-5)


def test_inner_product_and_sum_are_those_of_whole_series():
    a, b = (fourier.make_symmetric(noise(2, 9, 5, seed=seed, complex_=True)) for seed in (1, 2))
    expected = (whole(a).conj() * whole(b)).sum()
    assert fourier.inner_product(a, b).item() == pytest.approx(expected.real.item(), rel=1e-5)
    assert abs(expected.imag) < 1e-4
    small = fourier.make_symmetric(noise(2, 5, 3, seed=3, complex_=True))
    both = fourier.sample(fourier.add_series([small, a]), 16)
    torch.testing.assert_close(both, fourier.sample(small, 16) + fourier.sample(a, 16), atol=1e-4, rtol=0)


def test_conjugate_gradients_solve_in_as_many_steps_as_there_are_unknowns():
    root = noise(6, 6)
    matrix, truth = root @ root.T + torch.eye(6), noise(6, seed=1)
    inner = lambda a, b: a[0] @ b[0]  # noqa: E731
    (found,), direction = conjugate_gradient(
        lambda v: (matrix @ v[0],), (torch.zeros(6),), (matrix @ truth,), 6, inner=inner,
        precondition=lambda v: (v[0] / matrix.diagonal(),),
    )  # fmt: skip
    torch.testing.assert_close(found, truth, atol=1e-3, rtol=1e-3)
    again, _ = conjugate_gradient(
        lambda v: (matrix @ v[0],), (truth,), (torch.zeros(6),), 3, inner=inner, last=direction, forget=0.5
    )
    assert torch.equal(again[0], truth), "nothing is left to do"


def test_a_direction_that_is_kept_saves_steps():
    root = noise(20, 20)
    matrix = root @ root.T + 0.1 * torch.eye(20)
    right = noise(20, seed=1)

    def run(keep):
        x, last = torch.zeros(20), None
        for _ in range(8):
            (x,), direction = conjugate_gradient(
                lambda v: (matrix @ v[0],), (x,), (right - matrix @ x,), 2, inner=lambda a, b: a[0] @ b[0], last=last
            )
            last = direction if keep else None
        return (right - matrix @ x).norm().item()

    assert run(keep=True) < 0.7 * run(keep=False)


def problem(cells=9, size=144):
    penalty = Penalty(0.01, 0.2, 0.05)
    return FilterProblem(
        fourier.gaussian_label(cells, 1.0, torch.device("cpu")),
        penalty.kernel(size, (40.0, 60.0), torch.device("cpu")),
    )


def real_series(*shape, seed):
    return fourier.to_series(noise(*shape, seed=seed)) / shape[-1]


def loss(own, samples, weights, filters):
    """The objective by whole series: responses against the label, plus the penalty as a product in the image."""
    responses = whole((samples * filters).sum(1) - own.label)
    data = (responses.abs().square().sum((1, 2)) * weights).sum()
    rows, columns = (side // 2 for side in own.kernel.shape)
    full = whole(filters)
    padded = torch.nn.functional.pad(full, (2 * columns, 2 * columns, 2 * rows, 2 * rows))
    windows = padded.unfold(1, own.kernel.shape[0], 1).unfold(2, own.kernel.shape[1], 1)
    return data + (windows * own.kernel.flip(0, 1)).sum((-2, -1)).abs().square().sum()


def test_the_filter_comes_to_the_minimum_of_its_objective():
    own, samples = problem(), real_series(3, 2, 9, 9, seed=4)
    weights = torch.tensor([0.5, 0.3, 0.2])
    energy = own.energy(samples, weights)
    start = torch.zeros(2, 9, 5, dtype=torch.complex64)
    best, _ = own.improve(start, samples, weights, energy, 200)
    least = loss(own, samples, weights, best)
    assert least < 0.9 * loss(own, samples, weights, start)
    for seed in range(4):
        step = 0.02 * best.abs().max() * fourier.make_symmetric(noise(2, 9, 5, seed=seed, complex_=True))
        assert loss(own, samples, weights, best + step) > least
    few, direction = own.improve(start, samples, weights, energy, 2)
    more, _ = own.improve(few, samples, weights, energy, 2, last=direction)
    assert loss(own, samples, weights, few) > loss(own, samples, weights, more) > least
    torch.testing.assert_close(best[..., 0], best[..., 0].flip(-1).conj())


def test_compression_and_filter_learn_together():
    own, samples = problem(), real_series(4, 5, 9, 9, seed=5)
    weights = torch.full((4,), 0.25)
    start = first_compression(noise(4, 5, 9, 9, seed=5), 2)
    torch.testing.assert_close(start.T @ start, torch.eye(2), atol=1e-5, rtol=0)
    filters, compression = own.learn_with_compression(start, samples, weights, 8, 12, 1e-6)
    alone, _ = own.improve(
        torch.zeros_like(filters), compress(samples, start), weights,
        own.energy(compress(samples, start), weights), 100,
    )  # fmt: skip
    joint = loss(own, weights=weights, samples=compress(samples, compression), filters=filters)
    assert joint < 0.95 * loss(own, compress(samples, start), weights, alone), "the compression is better than PCA"
    assert not torch.allclose(start, compression)


def test_the_penalty_is_smallest_in_the_middle_and_grows_outwards():
    kernel = Penalty(1e-3, 5e-2, 0.0).kernel(64, (20.0, 20.0), torch.device("cpu")).double()
    size = kernel.shape[0]
    series = torch.zeros(64, 64, dtype=torch.float64)
    first = 32 - size // 2
    series[first : first + size, first : first + size] = kernel
    weights = torch.fft.ifft2(torch.fft.ifftshift(series)).real * 64**2
    low = np.unravel_index(int(weights.argmin()), weights.shape)
    assert max(abs(place - 32) for place in low) <= 1, "the filter lies in the middle of the period"
    assert weights.min() == pytest.approx(1e-3, abs=1e-3)
    near, far = weights[32, 42].item(), weights[32, 62].item()
    assert 0.02 < near < 0.08 and far > 5 * near, "EDGE is reached at the edge of the target"
