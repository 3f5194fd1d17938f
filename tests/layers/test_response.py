"""ATOM's classifier: published numbers of its optimisation, of its scores and of what is made of them."""

import golden_discriminative as golden
import numpy as np
import pytest
import torch
from golden_stages import CELLS, CPU, STRIDE, atom_update

from lib.layers.filters.fourier import interpolate
from lib.layers.filters.gauss_newton import gauss_newton
from lib.layers.filters.localization import FLAGS, LocalizationRules


def test_update_of_the_filter():
    for stage, tensor, record in atom_update(CPU):
        assert golden.worst(tensor, record) <= 1, stage


@pytest.mark.parametrize("case", golden.read("atom")["localisation"]["cases"], ids=lambda case: case["case"])
def test_published_places(case):
    setup = golden.read("atom")["localisation"]["setup"]
    rows, columns = torch.meshgrid(torch.arange(CELLS), torch.arange(CELLS), indexing="ij")
    peaks = case["peaks_amp_row_col"]
    raw = sum(a * torch.exp(-((rows - y).square() + (columns - x).square()) / (2 * 1.2**2)) for a, y, x in peaks)
    scores = interpolate(raw, STRIDE * CELLS)[None]
    if case["interpolated"]:
        assert golden.worst(scores, case["interpolated"]) <= 1
    side = STRIDE * CELLS * setup["target_scale"]
    size = torch.tensor([setup["target_sz_hw"]]).flip(1) / side
    rules = LocalizationRules(found=0.25, distractor=0.8, hard=0.5, neighbourhood=2.2, displacement=0.8)
    found = rules(scores, size, torch.full((1, 2), 0.5), STRIDE * CELLS)
    assert FLAGS[found.flag] == {"None": "normal"}.get(case["flag"], case["flag"])
    assert found.score.item() == pytest.approx(case["max"], rel=1e-5)
    np.testing.assert_allclose((found.place[0].flip(0) - 0.5) * side, case["translation_yx"], atol=1e-3)


@pytest.mark.parametrize("scales", [None, (0.5, 2.0)])
def test_as_many_iterations_as_values_solve_a_linear_problem_at_once(scales):
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(7, 4, dtype=torch.float64, generator=generator)
    wanted = torch.randn(7, dtype=torch.float64, generator=generator)

    def residuals(first, second):
        return (matrix @ torch.cat([first, second]) - wanted,)

    start = torch.zeros(1, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    solved = torch.cat(gauss_newton(residuals, start, [4], scales)[-1])
    torch.testing.assert_close(solved, torch.linalg.lstsq(matrix, wanted[:, None]).solution[:, 0])
    (same,) = gauss_newton(residuals, tuple(solved.split([1, 3])), [0], scales)[1:]
    assert torch.equal(torch.cat(same), solved)


def test_a_perfect_start_stays():
    (found,) = gauss_newton(lambda free: (0 * free,), (torch.ones(3),), [5])[-1]
    assert found.tolist() == [1, 1, 1]
