"""ECO gives the numbers of the published features and of its Fourier constants."""

import golden_online as golden
import pytest
from golden_stages import CPU
from golden_stages_online import STAGES, eco_fourier

from lib.core.config import load_config
from lib.layers.filters.eco_filter import Penalty


def test_features():
    found = {stage: golden.worst(tensor, record) for stage, tensor, record in STAGES["eco"](CPU)}
    assert set(found) == set(golden.read("eco")["stages"]) and max(found.values()) <= 1, found


@pytest.mark.parametrize(("name", "number"), [("vggconv1", 0), ("layer3", 1)])
def test_fourier_constants(name, number):
    for stage, tensor, record in eco_fourier(name, number):
        assert golden.worst(tensor, record) <= 1, stage
    known, test = golden.read("eco"), load_config("eco", "eco").TEST
    record, recipe = known["fourier"][name], known["recipe"]["fourier"]
    assert recipe["bicubic_a"] == test.KERNEL_SLOPE
    size, (height, width) = recipe["img_support_sz"], recipe["base_target_sz_hw"]
    sigma = test.SIGMA[number] * (height * width) ** 0.5 / size * record["filter_sz"][0]
    assert sigma == pytest.approx(record["label_sigma"][0], rel=1e-5)
    kernel = Penalty(test.LEAST[number], test.EDGE[number], test.SPARSITY[number]).kernel(size, (height, width), CPU)
    assert kernel.square().sum().item() == pytest.approx(record["reg_energy"], rel=1e-4)
