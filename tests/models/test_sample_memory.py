"""The memory of samples: published weights, what is replaced."""

import golden_discriminative as golden
import numpy as np
import pytest
import torch

from lib.models.sample_memory import SampleMemory


def test_published_weights_and_places():
    known = golden.read("dimp50")["memory_weights"]
    setup = known["setup"]
    memory = SampleMemory(torch.zeros(setup["initial_samples"], 1), setup["memory"], setup["min_initial_weight"])
    places = []
    for update in range(1, setup["updates"] + 1):
        hard = update in setup["hard_negative_updates"]
        places.append(memory.add(torch.tensor([[update]]), setup["hard_negative_rate" if hard else "learning_rate"]))
        if str(update) in known["weights_after"]:
            np.testing.assert_allclose(memory.weights, known["weights_after"][str(update)], rtol=1e-4, atol=1e-7)
    assert places == known["replace_index"]
    samples, weights = memory.used()
    assert samples.shape == (1, 50, 1) and weights.shape == (1, 50)
    assert samples[0, places[-1]].item() == setup["updates"] and not samples[0, : setup["initial_samples"]].any()


def test_only_the_samples_so_far_are_used_and_a_tree_stays_together():
    features, boxes = torch.randn(3, 2, 4, 4), torch.randn(3, 4)
    memory = SampleMemory((features, boxes), 5, 0.25)
    memory.add((torch.ones(1, 2, 4, 4), torch.full((1, 4), 2.0)), 0.1)
    (kept, own), weights = memory.used()
    assert torch.equal(kept[0, :3], features) and (kept[0, 3] == 1).all() and (own[0, 3] == 2).all()
    assert kept.shape[:2] == own.shape[:2] == weights.shape == (1, 4) and weights.sum().item() == pytest.approx(1)
    assert kept.untyped_storage().data_ptr() == memory.samples[0].untyped_storage().data_ptr(), "nothing is copied"


def test_a_memory_full_of_first_samples_keeps_them():
    memory = SampleMemory(torch.zeros(3, 1), 3, 0.25)
    assert memory.add(torch.ones(1, 1), 0.1) == -1 and memory.weights.tolist() == [1 / 3] * 3
