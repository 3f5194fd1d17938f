"""ECO gives the numbers of the published features and of its Fourier constants."""

import re

import golden_online as golden
import numpy as np
import pytest
import torch

from lib.core.config import load_config
from lib.layers.filters import fourier
from lib.layers.filters.eco_filter import Penalty
from lib.layers.trunks.eco_features import pool_halves

STORED = golden.read("eco")
STAGES, FOURIER = STORED["stages"], STORED["fourier"]
CPU = torch.device("cpu")


def right(tensor, record):
    given = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    assert golden.worst(given, record) <= 1


@torch.no_grad()
def test_features():
    model = golden.original_model("eco")
    inputs = STORED["recipe"]["inputs"]["x"]
    images = model.normalize(golden.pixels(inputs["seed"], inputs["shape"])[:, None])
    seen = {}
    handle = model.resnet.register_forward_hook(lambda *given: seen.update(given[2]))
    maps = model(None, images)
    handle.remove()
    raw = torch.nn.functional.conv2d(images[:, 0], model.vggmconv1.weight, model.vggmconv1.bias, stride=2, padding=3)
    shallow = model.vggmconv1(images[:, 0])
    right(raw, STAGES["vggmconv1 conv output before relu"])
    right(shallow, STAGES["vggconv1 (stride 2, relu, LRN)"])
    right(seen["layer3"], STAGES["layer3 (stride 16)"])
    right(maps.shallow, STAGES["vggconv1.feature (avg-pool 2, power-2 normalised)"])
    right(maps.deep, STAGES["layer3.feature (power-2 normalised)"])
    assert pool_halves(shallow).shape == maps.shallow.shape


@pytest.mark.parametrize(("name", "number"), [("vggconv1", 0), ("layer3", 1)])
def test_fourier_constants(name, number):
    record, recipe, test = FOURIER[name], STORED["recipe"]["fourier"], load_config("eco", "eco").TEST
    cells, (count, _), size = record["feature_sz"], record["filter_sz"], recipe["img_support_sz"]
    right(fourier.inner_hann(cells, CPU), record["hann_window"])
    assert recipe["bicubic_a"] == test.KERNEL_SLOPE
    rows, columns = fourier.cubic_kernel(count, test.KERNEL_SLOPE, CPU)
    right(rows, record["interp_y_real_imag"])
    right(columns, record["interp_x_real_imag"])
    target = recipe["base_target_sz_hw"]
    sigma = test.SIGMA[number] * (target[0] * target[1]) ** 0.5 / size * count
    assert sigma == pytest.approx(record["label_sigma"][0], rel=1e-5)
    right(fourier.gaussian_label(count, sigma, CPU), record["label_fourier"])
    kernel = Penalty(test.LEAST[number], test.EDGE[number], test.SPARSITY[number]).kernel(size, target, CPU)
    right(kernel, record["reg_filter"])
    assert kernel.square().sum().item() == pytest.approx(record["reg_energy"], rel=1e-4)

    seed, shape = re.fullmatch(r"gauss\((\d+),\(([\d,]+)\)\)", record["test_map"]).groups()
    values = np.random.default_rng(int(seed)).standard_normal([int(part) for part in shape.split(",")])
    series = fourier.to_series(torch.from_numpy(values.astype(np.float32)))
    right(series, record["cfft2"])
    series = series * rows * columns
    right(series, record["interpolated_dft"])
    right(fourier.sample(series, size), record["sampled_on_support"])
    right(fourier.shift(series, torch.tensor([0.3, -0.7])), record["shifted_by_0p3_m0p7"])
