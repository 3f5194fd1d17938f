"""Blocks of ATOM and the DiMP family: published values, and what each of them stands for."""

import functools

import golden_discriminative as golden
import pytest
import torch
from golden_discriminative import gauss32
from torch.nn.functional import conv2d

from lib.layers.filters.box_optimizer import BoxSteps, climb, jitter_boxes, mean_of_best
from lib.layers.filters.iou_net import IoUFeatures, IoUNet, Modulation
from lib.layers.filters.losses import grid_divergence, hinged_square_loss, sampled_divergence
from lib.layers.filters.steepest_descent import GaussNewton, Newton, RadialTable
from lib.layers.filters.target_filter import FilterInitializer, InstanceL2Norm, apply_filter, filter_gradient

OPTIMIZERS = {"dimp_gn": GaussNewton, "prdimp_newton": Newton}


def block(name):
    return golden.read("golden_base_blocks")["values"][name]


def samples():
    """The recipe's features [B, N, C, H, W], boxes [B, N, 4] and weights [B, N]; the recipe has images first."""
    recipe = golden.read("golden_base_blocks")["recipe"]
    features = gauss32(11, 3, 2, 32, 18, 18) * (1 / 512) ** 0.5
    boxes, weights = torch.tensor(recipe["boxes_xywh"]), torch.tensor(recipe["sample_weight"])
    return features.transpose(0, 1), boxes.transpose(0, 1), weights.T


@functools.cache
def first_filter():
    features, boxes, _ = samples()
    with torch.no_grad():
        return golden.fill_block(FilterInitializer(32))(features, boxes)


def test_first_filter():
    assert golden.worst(first_filter(), block("filter_initializer")) <= 1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_course_of_the_optimisers(name, weighted):
    features, boxes, weights = samples()
    with torch.no_grad():
        course = OPTIMIZERS[name]()(
            first_filter(), features, boxes, weights if weighted else None, iterations=5, with_losses=True
        )
    known = block(f"{name}_{'weighted' if weighted else 'uniform'}")
    losses = torch.tensor([loss.mean() for loss in course.losses])
    torch.testing.assert_close(losses, torch.tensor(known["losses"]), rtol=1e-5, atol=0)
    assert golden.worst(course.filters[1], known["iter1"]) <= 1
    assert golden.worst(course.filters[5], known["final"]) <= 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_direction_is_the_gradient_of_the_loss_and_the_step_lowers_it(name):
    """In DiMP's loss of residuals, half the gradient; PrDiMP's norm has half of its derivative."""
    torch.manual_seed(0)
    features, boxes, weights = (part[:1].double() for part in samples())
    optimizer = OPTIMIZERS[name](regularization=1e-9).double()
    optimizer.least = 0.0
    free = torch.randn(1, 32, 4, 4, dtype=torch.float64, requires_grad=True)
    course = optimizer(free, features, boxes, weights, iterations=1, with_losses=True)
    (slope,) = torch.autograd.grad(course.losses[0].sum(), free)
    change = (free - course.filters[1]).detach()
    torch.testing.assert_close(change / change.norm(), slope / slope.norm())
    assert course.losses[1] < course.losses[0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_parameter_of_an_optimiser_gets_a_gradient(name):
    features, boxes, weights = samples()
    optimizer = OPTIMIZERS[name](regularization=0.1)
    course = optimizer(first_filter(), features, boxes, weights, iterations=2)
    apply_filter(features, course.filters[-1]).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in optimizer.parameters())


@pytest.mark.parametrize("size", [3, 4])
def test_filters_are_convolutions_padded_by_half(size):
    generator = torch.Generator().manual_seed(size)
    features = torch.randn(2, 3, 5, 6, 7, dtype=torch.float64, generator=generator)
    filters = torch.randn(2, 5, size, size, dtype=torch.float64, generator=generator, requires_grad=True)
    scores = apply_filter(features, filters)
    for own, maps, weight in zip(scores, features, filters, strict=True):
        torch.testing.assert_close(own, conv2d(maps, weight[None], padding=size // 2)[:, 0])
    residuals = torch.randn(scores.shape, dtype=torch.float64, generator=generator)
    (slope,) = torch.autograd.grad((scores * residuals).sum(), filters)
    torch.testing.assert_close(filter_gradient(features, residuals, size), slope)


def test_a_radial_table_is_linear_between_its_values_and_constant_behind_them():
    table = RadialTable(torch.tensor([1.0, 3, -1, 2]))
    found = table(torch.tensor([[0.0, 0.05, 0.15], [0.3, 0.28, 50.0]]))
    torch.testing.assert_close(found, torch.tensor([[1.0, 2, 1], [2, 1.4, 2]]))


def test_iou_net():
    network, known = golden.fill_block(IoUNet(128, 256)), block("atom_iounet")
    reference, search = ([gauss32(seed, 1, c, f, f) for seed, c, f in rows] for rows in (
        [(21, 128, 36), (22, 256, 18)], [(23, 128, 36), (24, 256, 18)],
    ))  # fmt: skip
    with torch.no_grad():
        modulation = network.modulate(*reference, torch.tensor([[110.0, 100, 70, 60]]))
        features = network.embed(*search)
    for part, record in zip(modulation, known["modulation"], strict=True):
        assert golden.worst(part, record) <= 1
    boxes = torch.tensor([[[105.0, 96, 76, 66], [115, 110, 60, 50], [100, 90, 90, 80], [150, 40, 40, 80]]])
    boxes.requires_grad_()
    found = network(modulation, features, boxes)
    torch.testing.assert_close(found.detach(), torch.tensor(known["iou"]), rtol=1e-4, atol=1e-6)
    (slope,) = torch.autograd.grad(found.sum(), boxes)
    torch.testing.assert_close(slope, torch.tensor(known["grad_boxes"]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_filters_and_predicted_iou_stay_in_float32_under_mixed_precision(name):
    torch.manual_seed(0)
    features, boxes, weights = samples()
    optimizer, net = OPTIMIZERS[name](), IoUNet(6, 5, 8).eval()
    modulation = Modulation(torch.rand(2, 8), torch.rand(2, 8))
    maps = IoUFeatures(torch.rand(2, 8, 36, 36), torch.rand(2, 8, 18, 18))

    def learned():
        course = optimizer(first_filter(), features, boxes, weights, iterations=2, with_losses=True)
        return course.filters[-1], course.losses[-1], net(modulation, maps, boxes)

    with torch.no_grad():
        exact = learned()
        with torch.autocast("cpu", torch.bfloat16):
            mixed = learned()
            first = FilterInitializer(32)(features, boxes)
            scaled = InstanceL2Norm(1.0)(features[0].bfloat16())
    assert all(torch.equal(one, other) for one, other in zip(exact, mixed, strict=True))
    assert first.dtype == scaled.dtype == torch.float32


def test_losses():
    found = sampled_divergence(gauss32(31, 4, 9), gauss32(32, 4, 9).exp(), gauss32(33, 4, 9).exp())
    assert found.item() == pytest.approx(block("kl_regression"), rel=1e-5)
    scores = gauss32(34, 2, 3, 19, 19)
    found = grid_divergence(scores, gauss32(35, 2, 3, 19, 19).softmax(-1) / 19)
    assert found.item() == pytest.approx(block("kl_grid"), rel=1e-5)
    found = hinged_square_loss(scores, gauss32(36, 2, 3, 19, 19).abs() * 0.1, 0.05)
    assert found.item() == pytest.approx(block("lbhinge_0.05"), rel=1e-5)


@pytest.mark.parametrize("steps", [BoxSteps(60, 4.0, relative=False), BoxSteps(60, 0.05, relative=True)])
def test_boxes_climb_to_the_best_one(steps):
    best = torch.tensor([[40.0, 50, 30, 20], [10.0, 12, 25, 50]])

    def score(boxes):
        return -((boxes - best[:, None]) / best[:, None, 2:].repeat(1, 1, 2)).square().sum(-1)

    start = best[:, None] + torch.tensor([[4.0, -3, 2, -2], [-5, 5, -5, 5]])
    boxes, scores = climb(score, start, steps)
    assert (boxes - best[:, None]).abs().max() < 0.5 and (scores > score(start)).all() and not boxes.requires_grad
    still, before = climb(score, start, steps._replace(number=0))
    assert torch.equal(still, start) and torch.equal(before, score(start))


def test_jittered_boxes_stay_near_and_are_not_too_thin():
    boxes = torch.tensor([[10.0, 20, 40, 90], [0.0, 0, 12, 12]])
    noise = torch.rand(2, 500, 4, generator=torch.Generator().manual_seed(0)) - 0.5
    found = jitter_boxes(boxes, noise, 0.1, 0.5)
    assert torch.equal(found[:, 0], boxes)
    shift = (found[:, :, :2] + found[:, :, 2:] / 2) - (boxes[:, :2] + boxes[:, 2:] / 2)[:, None]
    root = boxes[:, 2:].prod(1).sqrt()[:, None]
    reach = shift.abs().amax((1, 2))[:, None] / root
    assert ((reach > 0.049) & (reach < 0.0501)).all(), "the centre moves by 0.05 of the root of the area, at most"
    change = (found[..., 2:] - boxes[:, None, 2:]).amax((1, 2))[:, None] / root
    assert ((change > 0.24) & (change < 0.2501)).all()
    assert (found[0, :, 2] >= 40 / 3 - 1e-4).all() and found[0, :, 2].min() < 27


def test_the_best_boxes_are_averaged_without_odd_ones():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [2, 2, 10, 10], [0, 0, 700, 10], [4, 4, 10, 10], [9, 9, torch.nan, 10]]])
    found, any_left = mean_of_best(boxes, torch.tensor([[0.1, 0.5, 0.9, 0.3, 0.8]]), 2, 6.0)
    assert found.tolist() == [[3, 3, 10, 10]] and any_left.tolist() == [True]
    found, any_left = mean_of_best(boxes[:, 2:3], torch.tensor([[0.9]]), 2, 6.0)
    assert any_left.tolist() == [False] and found.isfinite().all()
