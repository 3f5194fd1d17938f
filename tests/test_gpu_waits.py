"""Where a program would wait for a GPU, found without one. docs/gpu.md has the list of what was looked at."""

from pathlib import Path

import fake_gpu
import golden
import micro
import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lib.core import distributed
from lib.core.tree import Owned
from lib.layers.filters.box_optimizer import jitter_boxes
from lib.models import TRACKERS, build_method, build_model
from lib.models.discriminative.atom_method import Response
from lib.models.discriminative.parts import Memory
from lib.test.tracker.crop_tracker import CropTracker
from lib.test.tracker.forward_pass import ForwardPass, Mode
from lib.train.average import WeightAverage

QUICK = [name for name in TRACKERS if name in micro.TRAINED and name != micro.TOY]
#: Training steps of many layers take seconds on `meta`.
LONG = ("siammask", "siamdma", "siamrpnpp")


def marked(quick):
    slow = [name for name in micro.TRAINED if name not in quick and name != micro.TOY]
    names = [*quick, *(pytest.param(name, marks=pytest.mark.slow) for name in slow)]
    return pytest.mark.parametrize("variant", names)


def network_there(variant):
    return build_model(micro.config(variant)).to(fake_gpu.DEVICE)


@marked(QUICK)
def test_a_pass_of_tracking_stays_on_the_device(variant):
    network = network_there(variant).eval()
    method = build_method(network, micro.config(variant))
    if method.absorbs or method.needs_gradients:
        pytest.skip("learns each target in steps that depend on values")
    forward = ForwardPass(method, torch.float32)

    def crops(side):
        shape = (2, 1, method.modalities, 3, side, side)
        return torch.empty(shape, dtype=torch.uint8, device=fake_gpu.DEVICE)

    box = torch.empty(2, 1, 4, device=fake_gpu.DEVICE)
    with torch.no_grad(), fake_gpu.Copies() as copies:
        output = forward(forward.begin(crops(method.template_size), box), crops(method.search_size), box[..., 2:])
    assert output.answers.device == fake_gpu.DEVICE and output.answers.shape == (2, 7)
    assert not copies.places


@marked([name for name in QUICK if name not in LONG])
def test_a_training_step_stays_on_the_device(variant):
    network = network_there(variant).train()
    batch = micro.train_batch(variant).apply(lambda part: part.to(fake_gpu.DEVICE))
    with fake_gpu.Copies() as copies:
        losses, _ = network.step(batch)
        sum(losses.values()).backward()
    assert not copies.places
    assert any(parameter.grad is not None for parameter in network.parameters())


class Draws:
    """Random numbers of a target, on the host."""

    def draw(self, *shape):
        return torch.rand(shape)


@pytest.mark.parametrize("variant", ["dimp", "prdimp", "atom"])
def test_of_a_tracker_that_learns_a_target_the_search_stays_on_the_device(variant):
    """From the region to the refined boxes; then it reads whether the target was found. What goes up is pinned."""
    network = network_there(variant).eval()
    method = build_method(network, micro.config(variant))
    shapes = (2, 1, 1, 3, method.search_size, method.search_size), (2, 2)
    pixels = torch.empty(shapes[0], dtype=torch.uint8, device=fake_gpu.DEVICE)
    size = torch.empty(shapes[1], device=fake_gpu.DEVICE)
    if variant == "atom":
        channels, side = method.channels, method.size
        filters = Response(*(size.new_empty(2, channels, *rest) for rest in ((side, side), (256 // 16,))))
    else:
        filters = size.new_empty(2, 8, 4, 4)
    template = torch.empty(2, 1, 3, *pixels.shape[-2:], device=fake_gpu.DEVICE)
    with torch.no_grad():
        modulation = network.iou_net.modulate(*network.extract(template[:, 0]), template.new_empty(2, 4))
        memory = Memory(filters, modulation, Owned(Draws(), Draws()))
        with fake_gpu.Copies() as copies:
            seen = method.predict(memory, pixels)
            found = method.locate(method.score(filters, seen.features), size, torch.full_like(size, 0.5), 4)
            boxes = method.refine(memory, seen, torch.cat([found.place, size], 1), method.search_size)
    assert boxes.shape == (2, 4) and boxes.device == found.flag.device == fake_gpu.DEVICE
    assert [Path(place).name.partition(":")[0] for place in copies.places] == ["upload.py"]


@pytest.mark.parametrize("variant", ["dimp", "prdimp"])
def test_a_filter_is_learned_on_the_device(variant):
    method = build_method(network_there(variant).eval(), micro.config(variant))
    image = torch.empty(3, method.template_size, method.template_size, device=fake_gpu.DEVICE)
    with torch.no_grad():
        memory = method._start(image, image.new_empty(4), "walk")
        with fake_gpu.Copies() as copies:
            filters = method.improve(memory.filters, memory.learner.items[0].samples, 2)
    assert filters.shape == memory.filters.shape and filters.device == fake_gpu.DEVICE
    assert [Path(place).name.partition(":")[0] for place in copies.places] == ["upload.py"]


@pytest.mark.parametrize(
    "wait",
    [lambda x: x.sum().item(), lambda x: x.cpu(), lambda x: x[x > 0], lambda x: x.tolist(), lambda x: bool(x[0])],
)
def test_what_waits_is_seen(wait):
    with pytest.raises((NotImplementedError, RuntimeError)):
        wait(torch.empty(3, device=fake_gpu.DEVICE))


@pytest.mark.parametrize(
    "copy", [lambda x: torch.tensor([1.0, 2], device=x.device), lambda x: torch.ones(2).to(x.device),
             lambda x: x.copy_(torch.ones(3)), lambda x: x.new_tensor([1.0])],
)  # fmt: skip
def test_copies_are_seen(copy):
    with fake_gpu.Copies() as copies:
        copy(torch.empty(3, device=fake_gpu.DEVICE))
    assert len(copies.places) == 1


def test_boxes_are_jittered_on_the_device():
    with fake_gpu.Copies() as copies:
        made = jitter_boxes(*(torch.empty(shape, device=fake_gpu.DEVICE) for shape in ((2, 4), (2, 3, 4))), 0.1, 0.5)
    assert made.shape == (2, 4, 4) and not copies.places
    boxes, noise = torch.tensor([[10.0, 20, 30, 40]]), torch.rand(1, 3, 4) - 0.5
    changed = noise * 1200**0.5 * torch.tensor([0.1, 0.1, 0.5, 0.5]) + torch.tensor([25.0, 40, 30, 40])
    torch.testing.assert_close(jitter_boxes(boxes, noise, 0.1, 0.5)[0, 1:, 2:], changed[0, :, 2:].clamp(min=10))


def test_averaged_weights_are_those_of_torch_without_its_wait():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4))
    own, known = WeightAverage(model, 0.9), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    for _ in range(4):
        model(torch.randn(6, 5))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        for average in (own, known):
            average.update_parameters(model)
    assert own.state_dict().keys() == known.state_dict().keys()
    assert all(torch.equal(value, known.state_dict()[key]) for key, value in own.state_dict().items())
    there = model.to(fake_gpu.DEVICE)
    for average, waits in (
        (WeightAverage(there, 0.9), False),
        (AveragedModel(there, None, None, known.multi_avg_fn), True),
    ):
        average.update_parameters(there)
        with fake_gpu.Copies() as copies:
            average.update_parameters(there)
        assert bool(copies.places) == waits


@pytest.mark.parametrize("crops", ["exact", "fast"])
def test_a_frame_goes_up_without_a_wait_and_comes_down_once(crops):
    frames = [golden.frame(seed, 2, 120, 160) for seed in (1, 2)]
    boxes = [np.array([60.0, 40, 30, 24]), np.array([10.0, 60, 16, 40])]
    alone = micro.tracker("iimf_track", mode=Mode(crops=crops))
    with fake_gpu.fake_cuda() as moves:
        network = micro.model("iimf_track")
        tracker = CropTracker(build_method(network, micro.config("iimf_track")), "cuda", Mode(crops=crops))
        moves.clear()
        targets = tracker.start([frames[0]] * 2, boxes)
        assert set(moves) == {"up"}
        moves.clear()
        found = tracker.track(targets, [frames[1]] * 2)
    assert moves[-1] == "down" and set(moves[:-1]) == {"up"} and moves.count("down") == 1
    expected = alone.track(alone.start([frames[0]] * 2, boxes), [frames[1]] * 2)
    assert all(np.array_equal(one.box, other.box) for one, other in zip(found, expected, strict=True))


def test_an_ordinary_copy_is_one_that_waits():
    with fake_gpu.fake_cuda() as moves:
        torch.ones(2).to(torch.device("cuda"))
        torch.ones(2).to(torch.device("cuda"), non_blocking=True)
        torch.ones(2).pin_memory().to(torch.device("cuda"), non_blocking=True)
    assert moves == ["up and wait", "up and wait", "up"]


@pytest.mark.parametrize("batched", [True, False])
def test_what_a_graph_gave_outlives_its_next_call(monkeypatch, batched):
    """Heat maps are read after all passes of a frame: three where targets do not share one. `batch` also leaves places
    free here."""
    monkeypatch.setattr(torch, "compile", lambda module, **_: fake_gpu.ReusedMemory(module))
    seen = {True: [], False: []}
    frame = golden.frame(1, 2, 120, 160)
    for compiled in (True, False):
        tracker = micro.tracker("iimf_track", mode=Mode(compiled=compiled, batch=4))
        tracker.method.batched = batched
        targets = tracker.start([frame] * 3, [np.array([x, 40.0, 30, 24]) for x in (10.0, 60, 90)])
        tracker.track(targets, [frame] * 3, lambda _, views, heats, seen=seen[compiled]: seen.extend(heats))
    assert len(seen[True]) == 3
    for heat, expected in zip(seen[True], seen[False], strict=True):
        np.testing.assert_allclose(heat.scores, expected.scores, atol=1e-6)


@pytest.mark.parametrize(("local_rank", "index"), [("0", 0), ("3", 3), ("5", 1)])
def test_every_process_uses_its_own_gpu_where_none_is_named(monkeypatch, local_rank, index):
    chosen = []
    monkeypatch.setattr(distributed, "device_types", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    assert distributed.own_device() == torch.device("cuda", index) and chosen == [torch.device("cuda", index)]
    assert distributed.use_device("cpu") == torch.device("cpu") and len(chosen) == 1
