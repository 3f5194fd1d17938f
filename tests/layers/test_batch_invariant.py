"""Rounding that does not depend on the batch: every image gets, bit for bit, what it gets alone."""

import platform

import pytest
import torch

from lib.core import tree
from lib.core.config import load_config
from lib.layers.batch_invariant import BatchInvariantConv2d
from lib.models import build_model

SIZES = (1, 2, 3, 17)


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("channels", "outputs", "kernel", "side"), [(64, 32, 3, 16), (8, 1, 1, 8), (32, 2, 1, 16)])
@pytest.mark.parametrize("layout", ["planes", "last"])
def test_convolution_of_an_image_does_not_depend_on_its_batch(channels, outputs, kernel, side, layout, threads):
    torch.manual_seed(0)
    layer = BatchInvariantConv2d(channels, outputs, kernel, padding=kernel // 2).eval()
    images = torch.randn(max(SIZES), channels, side, side)
    if layout == "last":
        images = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    with torch.no_grad():
        alone = torch.cat([layer(image[None]) for image in images])
        for size in SIZES:
            assert torch.equal(layer(images[:size]), alone[:size])
        plain = torch.nn.Conv2d.forward(layer, images)
    torch.testing.assert_close(alone, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_what_is_to_learn_has_the_plain_convolution(training):
    layer = BatchInvariantConv2d(8, 4, 1).train(training)
    image = torch.randn(1, 8, 5, 5)
    assert torch.equal(layer(image), torch.nn.Conv2d.forward(layer, image))


def outputs(network, cfg, count):
    """What a network says about targets alone, and about all of them at once with memories made in both ways."""
    generator = torch.Generator().manual_seed(0)
    sides = cfg.TEST.TEMPLATE_SIZE, cfg.TEST.SEARCH_SIZE
    template, search = (torch.randn(count, network.modalities, 3, s, s, generator=generator) for s in sides)
    with torch.no_grad():
        memories = [network.embed(z[None]) for z in template]
        alone = [network(memory, x[None]) for memory, x in zip(memories, search, strict=True)]
        together = [network(memory, search) for memory in (tree.join(memories), network.embed(template))]
    return [torch.cat(parts) for parts in zip(*alone, strict=True)], together


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have other matrix products")
def test_boxes_of_the_shipped_network_do_not_depend_on_the_batch(threads):
    """Bit for bit; networks with much smaller matrices keep this within rounding alone."""
    cfg = load_config("iimf_track", "tiny")
    torch.manual_seed(0)
    alone, together = outputs(build_model(cfg).eval(), cfg, 3)
    for whole in together:
        assert all(map(torch.equal, whole, alone))
