"""Arithmetic of tracking: what a mode changes in the weights, and by how much in the boxes."""

from dataclasses import replace
from pathlib import Path

import micro
import numpy as np
import pytest
import torch
from fake_gpu import ReusedMemory
from trees import SYNTHETIC_SEQUENCE

from lib.core.config import load_config
from lib.core.errors import InputError
from lib.datasets.readers.folder import read_folder
from lib.models import TRACKERS, build_method
from lib.test.evaluation.open import load_tracker
from lib.test.tracker.forward_pass import ForwardPass, Mode, NetworkPass, fill_up

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def demo():
    (sequence,) = read_folder(SYNTHETIC_SEQUENCE)
    return sequence


def shipped(mode):
    return load_tracker(
        load_config("iimf_track", "tiny"), ROOT / "pretrained_models/iimf_tiny.safetensors", "cpu", mode
    )


def iou(a, b):
    size = np.clip(np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    return size.prod() / (a[2:].prod() + b[2:].prod() - size.prod())


def follow(tracker, sequence, frames):
    (target,) = tracker.start([sequence.frames[0]], [sequence.boxes[0]])
    boxes = []
    for index in range(1, frames):
        (target,) = tracker.track([target], [sequence.frames[index]])
        boxes.append(target.box)
    return boxes


@pytest.mark.parametrize("mode", [Mode("bf16"), Mode(crops="fast")], ids=["bf16", "fast"])
def test_a_step_from_the_same_place_ends_where_the_docs_say(demo, mode):
    """One step: a run goes its own way after the smallest difference."""
    default, other = shipped(Mode()), shipped(mode)
    (target,) = default.start([demo.frames[0]], [demo.boxes[0]])
    (twin,) = other.start([demo.frames[0]], [demo.boxes[0]])
    overlaps = []
    for index in range(1, 15):
        before, images = target.box, demo.frames[index]
        (target,) = default.track([target], [images])
        (moved,) = other.track([replace(twin, box=before)], [images])
        overlaps.append(iou(target.box, moved.box))
    assert 0.99 < np.mean(overlaps) < 1


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("crops", ["exact", "fast"])
def test_every_tracker_tracks_in_every_mode(demo, name, precision, crops):
    tracker = micro.tracker(name, mode=Mode(precision, crops))
    assert np.isfinite(follow(tracker, demo, 4)).all()


def test_weights_become_smaller_but_for_constants_and_the_last_layers():
    model = micro.model("iimf_track")
    window = model.window.clone()
    ForwardPass(build_method(model, micro.config("iimf_track")), torch.bfloat16)
    kinds = {key: value.dtype for key, value in model.state_dict().items() if value.is_floating_point()}
    precise = {key for key, dtype in kinds.items() if dtype == torch.float32}
    assert precise and all("box_head.conv4" in key or "box_head.conv5" in key for key in precise)
    assert model.window.dtype == model.normalize.mean.dtype == torch.float32 and torch.equal(model.window, window)


def test_default_leaves_every_weight_alone():
    before = {key: value.clone() for key, value in micro.model("ostrack").state_dict().items()}
    after = micro.tracker("ostrack").method.network.state_dict()
    assert all(torch.equal(before[key], value) for key, value in after.items())


@pytest.mark.parametrize(
    ("mode", "message"), [(Mode("fp16"), "--precision fp16: processors"), (Mode(batch=0), "--batch 0: expected 1")]
)
def test_modes_that_make_no_sense_are_one_line(mode, message):
    with pytest.raises(InputError, match=message):
        micro.tracker("ostrack", mode=mode)


def test_places_that_are_left_are_filled_with_the_last_row():
    rows = torch.arange(6).view(3, 2)
    assert torch.equal(fill_up(rows, 5), rows[[0, 1, 2, 2, 2]]) and fill_up(rows, 3) is rows


@pytest.mark.parametrize("name", micro.LEARNERS)
def test_of_a_tracker_that_learns_the_network_alone_is_compiled(monkeypatch, demo, name):
    """What the network gives is written over in the next frame; what was learned from it stays."""
    given = []

    def compile_nothing(module, **_):
        assert isinstance(module, NetworkPass)
        return ReusedMemory(lambda *inputs: given.append(inputs) or module(*inputs))

    monkeypatch.setattr(torch, "compile", compile_nothing)
    found = follow(micro.tracker(name, mode=Mode(compiled=True, batch=2)), demo, 4)
    assert [(memory, len(pixels), prior) for memory, pixels, prior in given] == [(None, 2, None)] * 3
    np.testing.assert_allclose(found, follow(micro.tracker(name), demo, 4), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ostrack", "dasiamrpn", "dimp"])  # nothing learned, in the graph, beside it
def test_compiled_passes_give_the_boxes_of_eager_ones(demo, name):
    expected = follow(micro.tracker(name), demo, 5)
    compiled = micro.tracker(name, mode=Mode(compiled=True, batch=2))
    np.testing.assert_allclose(follow(compiled, demo, 5), expected, atol=0.01)
