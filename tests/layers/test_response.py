"""ATOM's classifier: published numbers of its optimisation, of its scores and of what is made of them."""

import functools

import golden_discriminative as golden
import numpy as np
import pytest
import torch
from golden_discriminative import gauss

from lib.layers.filters.fourier import interpolate
from lib.layers.filters.gauss_newton import gauss_newton
from lib.layers.filters.localization import FLAGS, LocalizationRules
from lib.layers.filters.response import ResponseRules, activate, learn_both, learn_filter, project, respond
from lib.layers.filters.target_filter import radius_map

RULES = ResponseRules(least=0.05, filter_regularization=0.1, projection_regularization=1e-4)
CELLS, STRIDE = 18, 16


def expect(stage, tensor):
    assert golden.worst(tensor, golden.read("atom")["stages"][stage]) <= 1, stage


@functools.cache
def samples():
    """The recipe's features [4, 256, 18, 18] and labels [4, 18, 18], those of the test image, and where both begin."""
    rules = golden.read("atom")["recipe"]["labels"]
    position = torch.tensor(rules["pos_yx"])
    sigma = 0.25 * np.prod(rules["base_target_sz_hw"]) ** 0.5 / STRIDE

    def label(displacement):
        centre = CELLS / 2 + displacement / STRIDE
        return torch.exp(-0.5 * (radius_map(centre, CELLS, CELLS) / sigma).square())

    train = gauss(61, 4, 256, CELLS, CELLS)
    test = 0.7 * train[:1] + 0.7 * gauss(62, 1, 256, CELLS, CELLS)
    labels = label(position - position.round() + torch.tensor(rules["shifts_yx"]).float())
    test_label = label(position - torch.tensor(rules["test_label_sample_pos"]))
    projection, filters = gauss(51, 64, 256) / 16, gauss(52, 1, 64, 4, 4) / 1024
    return (train, labels), (test, test_label[None]), (filters, projection)


@pytest.mark.slow
def test_filter_and_projection_of_the_first_frame():
    (train, labels), (test, test_label), (filters, projection) = samples()
    expect("clf.labels (4,1,18,18)", labels)
    expect("clf.label.test", test_label)
    weights = torch.full((4,), 0.25)
    course = learn_both((filters, projection), (train, labels, weights), RULES, [10] * 6)
    for step in (1, 6):
        expect(f"clf.filter.GN{step}", course[step][0])
        expect(f"clf.projection_minus_init.GN{step}", course[step][1] - projection)

    def loss(filters, projection):
        response = activate(respond(project(train, projection)[None], filters)[0], RULES.least)
        norms = 0.1 * filters.square().sum() + 1e-4 * projection.square().sum()
        return (weights[:, None, None] * (response - labels).square()).sum() + norms

    expect("clf.losses (0..6 GN)", torch.stack([loss(*own) for own in course]))
    compressed = project(test, course[6][1])
    expect("clf.compressed.test (1,64,18,18)", compressed)
    expect("clf.score.raw (1,1,18,18)", respond(compressed[None], course[6][0]))


def test_update_of_the_filter():
    (train, labels), (test, test_label), (_, projection) = samples()
    features = project(torch.cat([train, test]), projection)[None]
    start, weights = gauss(53, 1, 64, 4, 4) / 64, torch.tensor([[0.2475] * 4 + [0.01]])
    learned = learn_filter(start, (features, torch.cat([labels, test_label])[None], weights), RULES, 5)
    expect("clf.update.filter_minus_start (5 CG)", learned - start)
    scores = respond(features[:, 4:], learned)
    expect("clf.update.score.raw (test, initial projection)", scores)
    expect("clf.update.score.interpolated (1,1,288,288), centred", interpolate(scores, STRIDE * CELLS))


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
