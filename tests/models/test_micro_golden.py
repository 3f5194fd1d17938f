"""The small networks say what they said: a change of arithmetic shows here in a moment."""

import micro_golden
import pytest
import torch

TOLERANCE = 1e-4  # relative to the largest stored value of a tensor
PIXELS = 1e-2  # of a box, and far above the tolerance of what networks say


@pytest.fixture(scope="module")
def stored():
    return micro_golden.read()


def test_every_variant_has_its_numbers(stored):
    assert list(stored) == micro_golden.VARIANTS, "see micro_golden.py"


@pytest.mark.parametrize("variant", micro_golden.VARIANTS)
def test_numbers_are_the_stored_ones(variant, stored):
    found = micro_golden.figures(variant)
    assert set(found) == set(stored[variant])
    for name, row in found.items():
        expected = torch.tensor(stored[variant][name], dtype=torch.float64)
        atol = PIXELS if name == "boxes" else TOLERANCE * expected.abs().max().item()
        torch.testing.assert_close(torch.tensor(row, dtype=torch.float64), expected, rtol=0, atol=atol, msg=name)
