"""The ResNet of ImageNet against timm's, which has torchvision's layout."""

import pytest
import torch

from lib.layers.timm_parts import timm
from lib.layers.trunks.imagenet_resnet import BLOCKS, STRIDES, ImageNetResNet, read_depth


@pytest.mark.parametrize("depth", BLOCKS)
def test_layers_are_those_of_timm_with_the_same_weights(depth):
    torch.manual_seed(depth)
    theirs = timm.create_model(f"resnet{depth}", features_only=True).eval()
    weights = theirs.state_dict()
    for key, value in weights.items():
        if key.endswith(("running_mean", "running_var", "bias")):
            value.add_(torch.rand_like(value))
    ours = ImageNetResNet(depth).eval()
    ours.load_state_dict(weights)
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        found, expected = ours(image), theirs(image)
    for (name, got), wanted in zip(found.items(), expected, strict=True):
        assert torch.equal(got, wanted), name
        assert got.shape[1:] == (ours.channels[name], 64 // STRIDES[name], 96 // STRIDES[name])


def test_a_narrow_network_without_its_last_layers():
    network = ImageNetResNet(34, last=3, width=1 / 16)
    assert network.channels == {"conv1": 4, "layer1": 4, "layer2": 8, "layer3": 16}
    assert list(network(torch.randn(2, 3, 32, 32))) == ["conv1", "layer1", "layer2", "layer3"]
    assert not any(key.startswith(("layer4", "fc")) for key in network.state_dict())


@pytest.mark.parametrize("depth", BLOCKS)
@pytest.mark.parametrize("prefix", ["", "feature_extractor."])
def test_the_depth_is_read_from_the_keys(depth, prefix):
    weights = ImageNetResNet(depth, last=3, width=1 / 16).state_dict(prefix=prefix)
    assert read_depth(weights, prefix) == depth
    assert read_depth(weights, "other.") is None
