"""The centre head's target and loss by hand (CenterNet, 2019; CornerNet, ECCV 2018)."""

import math

import numpy as np
import pytest
import torch

from lib.layers.losses import focal_loss, gaussian_maps


def slow_focal(score, target):
    positive, total = 0, 0.0
    for p, t in zip(score.flatten().tolist(), target.flatten().tolist(), strict=True):
        positive += t == 1
        total -= (1 - p) ** 2 * math.log(p) if t == 1 else (1 - t) ** 4 * p**2 * math.log(1 - p)
    return total / max(positive, 1)


@pytest.mark.parametrize("peaks", [0, 1, 3])
def test_focal_loss(peaks):
    rng = np.random.default_rng(peaks)
    score, target = rng.uniform(0.05, 0.95, (2, 5, 5)), rng.uniform(0, 0.9, (2, 5, 5))
    for place in (3, 20, 40)[:peaks]:
        target.flat[place] = 1
    found = focal_loss(torch.from_numpy(score), torch.from_numpy(target))
    assert found.item() == pytest.approx(slow_focal(score, target))


def test_gaussian_around_the_cell_nearest_to_the_centre():
    """A target of 8 x 8 cells has a radius of 2: the smallest root is 2.19."""
    (found,) = gaussian_maps(torch.tensor([[0.26, 0.30, 0.5, 0.5]]), 16)
    expected = np.zeros((16, 16))
    for row in range(7, 12):
        for column in range(6, 11):
            expected[row, column] = math.exp(-((row - 9) ** 2 + (column - 8) ** 2) / (2 * (5 / 6) ** 2))
    np.testing.assert_allclose(found, expected, atol=1e-6)
