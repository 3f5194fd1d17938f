"""Precise RoI pooling: published values, exact gradients, and the integral that it stands for."""

import json

import golden_discriminative as golden
import pytest
import torch

from lib.layers.prroi import precise_pool


@pytest.mark.parametrize("name", ["5x5@8", "3x3@16", "1x1@16", "4x4@16"])
def test_golden_values(name):
    known = golden.read("golden_base_blocks")["values"]["prroi_pool"][name]
    text = golden.read("golden_base_blocks")["recipe"]["prroi"]
    bins, stride = int(name[0]), int(name.split("@")[1])
    rois = torch.tensor(json.loads(text.split("rois ")[1]))
    seed, *shape = (int(part) for part in text[text.index("R(") + 2 : text.index(")")].split(","))
    pooled = precise_pool(golden.gauss32(seed, *shape)[rois[:, 0].long()], rois[:, None, 1:], bins, stride)
    assert golden.worst(pooled, known) <= 1


def test_gradients_to_features_and_boxes():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 2, 5, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    boxes = torch.tensor(
        [[[3.3, 4.1, 30.2, 26.7], [-9.0, 5.2, 13.1, 60.3]], [[20.1, 1.3, 24.4, 3.9], [55.2, 60.1, 80.3, 90.7]]],
        dtype=torch.float64, requires_grad=True,
    )  # fmt: skip
    assert torch.autograd.gradcheck(lambda f, b: precise_pool(f, b, 3, 8), (features, boxes))


def test_a_bin_is_the_mean_of_the_interpolated_features():
    features = torch.randn(1, 3, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    box = torch.tensor([[[10.0, 6.0, 34.0, 38.0]]], dtype=torch.float64)
    # Bins of 1.5 x 2 cells, each sampled at the middles of a fine grid.
    steps = (torch.arange(800, dtype=torch.float64) + 0.5) / 800
    y, x = torch.meshgrid(0.75 + 4 * steps, 1.25 + 3 * steps, indexing="ij")
    grid = torch.stack([2 * x / 6 - 1, 2 * y / 5 - 1], -1)[None]
    sampled = torch.nn.functional.grid_sample(features, grid, align_corners=True)
    expected = sampled.unflatten(3, (2, 400)).unflatten(2, (2, 400)).mean((3, 5))
    torch.testing.assert_close(precise_pool(features, box, 2, 8)[:, 0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("box", [(10.0, 10.0, 10.0, 30.0), (30.0, 10.0, 20.0, 30.0), (900.0, 10.0, 950.0, 30.0)])
def test_boxes_without_area_or_outside_give_zeros_and_finite_gradients(box):
    boxes = torch.tensor([[box]], requires_grad=True)
    pooled = precise_pool(torch.ones(1, 2, 8, 8), boxes, 4, 16)
    pooled.sum().backward()
    assert not pooled.any() and not boxes.grad.any()


def test_constant_features_stay_constant_under_reduced_precision():
    features = torch.full((1, 2, 8, 8), 0.3, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = precise_pool(features, torch.tensor([[[20.0, 30.0, 80.0, 90.0]]]), 5, 16)
    assert pooled.dtype == torch.bfloat16
    torch.testing.assert_close(pooled.float(), torch.full((1, 1, 2, 5, 5), 0.3), rtol=0.02, atol=0)
