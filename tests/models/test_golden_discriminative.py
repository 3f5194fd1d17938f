"""ATOM and the DiMP family: the public networks' numbers at every stage."""

import zlib

import golden_discriminative as golden
import pytest
import torch
from golden_stages import CPU, DIMP, STAGES

from lib.core.boxes import cxcywh_to_xywh
from lib.layers.filters.target_filter import apply_filter


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_weights_of_the_recipe(name):
    crc, known = 0, golden.read(name)["weights"]["digest"]
    weights = golden.public_weights(name)
    for key in sorted(key for key, value in weights.items() if value.is_floating_point()):
        crc = zlib.crc32(weights[key].numpy().tobytes(), crc)
    assert crc == known["crc32_sorted_keys_float32_bytes"]


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_every_stage(name):
    found = {stage: golden.worst(tensor, record) for stage, tensor, record in STAGES[name](CPU)}
    assert set(found) == set(golden.read(name)["stages"]) and max(found.values()) <= 1, found


@pytest.mark.slow
@pytest.mark.parametrize("name", DIMP)
@torch.no_grad()
def test_the_network_alone_learns_from_its_template(name):
    """`embed` and `forward` are the blocks of the stages with one image."""
    model, (train, test) = golden.public_model(name), golden.inputs(name)
    box = torch.tensor([[0.45, 0.4, 0.3, 0.25]])
    memory = model.embed(train[:1, None], box)
    features = model.classifier.extract(model.extract(train[:1]).coarse)
    course = model.classifier.learn(features[:, None], cxcywh_to_xywh(box)[:, None] * train.shape[-1], 5)
    torch.testing.assert_close(memory.filters, course[-1], rtol=1e-3, atol=1e-6)
    scores = apply_filter(model.classifier.extract(model.extract(test).coarse)[:, None], memory.filters)[:, 0]
    torch.testing.assert_close(model(memory, test[:, None]).scores, scores, rtol=1e-3, atol=1e-5)
