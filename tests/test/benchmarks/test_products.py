import pytest
import torch
from micro import batch, model
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from lib.test.benchmarks.products import Product, moved_bytes, operations, products_of, repeat_products


def test_a_product_has_two_operations_for_each_pair_of_numbers_that_meet():
    with torch.no_grad():
        found = products_of(lambda: torch.ones(3, 5) @ torch.ones(5, 7))
    assert found == {Product(1, 3, 5, 7): 1}
    assert operations(found) == 2 * 3 * 5 * 7
    assert moved_bytes(found, torch.bfloat16) == 2 * (15 + 35 + 21)


@torch.no_grad()
def test_layers_are_the_products_that_they_are():
    image = torch.ones(2, 6, 9, 9)
    assert products_of(lambda: nn.Conv2d(6, 4, 3, stride=2)(image)) == {Product(1, 2 * 4 * 4, 6 * 9, 4): 1}
    assert products_of(lambda: nn.Conv2d(6, 4, 3, groups=2)(image)) == {Product(2, 2 * 7 * 7, 3 * 9, 2): 1}
    assert products_of(lambda: nn.Linear(6, 5)(torch.ones(2, 3, 6))) == {Product(1, 6, 6, 5): 1}
    query, key = torch.ones(2, 3, 10, 8), torch.ones(2, 3, 20, 8)
    found = products_of(lambda: scaled_dot_product_attention(query, key, key))
    assert operations(found) == 2 * (2 * 3 * 10 * 8 * 20) * 2


@pytest.mark.parametrize("variant", ["iimf_track", "ostrack"])
@torch.no_grad()
def test_a_network_has_the_operations_that_pytorch_counts_and_those_of_its_fused_attention(variant):
    network, pairs = model(variant), batch(variant, 2)
    memory = network.embed(pairs.template)
    found = products_of(lambda: network(memory, pairs.search))
    with FlopCounterMode(display=False) as counter:
        network(memory, pairs.search)
    seen = []

    def watched(query, key, value, **options):
        seen.append(2 * 2 * query[..., 0].numel() * query.shape[-1] * key.shape[-2])
        return scaled_dot_product_attention(query, key, value, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lib.layers.transformer.attention.scaled_dot_product_attention", watched)
        patch.setattr("torch.nn.functional.scaled_dot_product_attention", watched)
        network(memory, pairs.search)
    assert seen and operations(found) == counter.get_total_flops() + sum(seen)


@torch.no_grad()
def test_the_yardstick_computes_the_same_products():
    products = {Product(1, 3, 5, 7): 2, Product(4, 2, 3, 2): 1}
    assert products_of(repeat_products(products, torch.float32, torch.device("cpu"))) == products


def test_inference_mode_hides_products_and_is_refused():
    with torch.inference_mode(), pytest.raises(AssertionError):
        products_of(lambda: None)
