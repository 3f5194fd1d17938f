"""How ATOM and the DiMP family track, with small networks: what they learn from, what belongs to a target."""

import functools
import pickle

import micro
import numpy as np
import pytest
import torch
from compare import message_of
from fake_model import moving_sequence

from lib.core import tree
from lib.core.boxes import xywh_to_cxcywh
from lib.core.frame import INFRARED, Frame
from lib.layers.filters.localization import FLAGS, HARD_NEGATIVE, NORMAL, NOT_FOUND
from lib.models import build_method
from lib.test.tracker.forward_pass import Mode

SEQUENCES = [moving_sequence("right", step=(6, 0)), moving_sequence("left", step=(-5, 2), colour=(10, 250, 90) * 2)]


def start(tracker, *numbers, names=("right", "left")):
    return tracker.start(
        [SEQUENCES[k].frames[0] for k in numbers], [SEQUENCES[k].boxes[0] for k in numbers], [names[k] for k in numbers]
    )


@functools.cache
def begun():
    """A tracker and its first target, pickled: a test that changes what the target owns loads its own."""
    tracker = micro.tracker("dimp")
    return tracker, pickle.dumps(start(tracker, 0)[0])


def filters_of(target):
    return torch.cat([part.flatten() for part in tree.tensors(target.state.memory.filters)])


def learner_of(target):
    return target.state.memory.learner.items[0]


@pytest.mark.parametrize("name", ["dimp", "prdimp", pytest.param("atom", marks=pytest.mark.slow)])
def test_a_target_that_is_saved_and_loaded_goes_on_as_it_would_have_and_as_it_does_alone(name):
    tracker = micro.tracker(name, "TEST.LEARN.INTERVAL=1")
    together, (alone,) = start(tracker, 0, 1), start(tracker, 1)
    thawed = None
    for index in (1, 2):
        together = tracker.track(together, [s.frames[index] for s in SEQUENCES])
        (alone,) = tracker.track([alone], [SEQUENCES[1].frames[index]])
        if thawed is not None:
            (thawed,) = tracker.track([thawed], [SEQUENCES[1].frames[index]])
        thawed = pickle.loads(pickle.dumps(together[1])) if index == 1 else thawed
    np.testing.assert_allclose(together[1].box, alone.box, rtol=0, atol=1e-3)
    np.testing.assert_allclose(thawed.box, together[1].box, rtol=0, atol=1e-3)
    torch.testing.assert_close(filters_of(thawed), filters_of(together[1]), rtol=0, atol=1e-3)
    assert not filters_of(thawed).requires_grad


@pytest.mark.parametrize("seed", range(3))
def test_samples_in_bf16_are_those_in_fp32(seed):
    """They are cut from an image of 288 pixels, whose columns bf16 does not tell apart."""
    kept = []
    for precision in ("fp32", "bf16"):
        tracker = micro.tracker("dimp", "TEST.SEARCH_SIZE=144", mode=Mode(precision), seed=seed)
        kept.append(tree.tensors(learner_of(start(tracker, 0)[0]).samples.samples)[0])
    gaps, sizes = ((part.flatten(1).norm(dim=1)) for part in (kept[1] - kept[0], kept[0]))
    assert (gaps[sizes > 0] / sizes[sizes > 0]).max() < 0.05


def test_random_numbers_are_those_of_the_name_and_the_frame():
    tracker = micro.tracker("dimp")
    first, same, other = (learner_of(start(tracker, 0, names=(name, ""))[0]) for name in ("right", "right", "another"))
    draws = [one.draw(3, 4) for one in (first, same, other)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    first.age += 1
    assert not torch.equal(first.draw(3, 4), draws[0])
    kept = [tree.tensors(one.samples.samples)[0] for one in (first, same, other)]
    assert torch.equal(kept[0], kept[1]) and not torch.equal(kept[0], kept[2])


@pytest.mark.parametrize("flag", range(len(FLAGS)), ids=FLAGS)
def test_what_a_frame_teaches(flag, monkeypatch):
    """A sample is kept where the target is certain; what looks like it is learned from at once."""
    tracker, pickled = begun()
    locate = tracker.method.locate

    def flagged(*given):
        found = locate(*given)
        return found._replace(flag=torch.full_like(found.flag, flag))

    monkeypatch.setattr(tracker.method, "locate", flagged)
    before = pickle.loads(pickled)
    samples, box, filters = learner_of(before).samples, before.box, filters_of(before)
    count = samples.count
    (after,) = tracker.track([before], [SEQUENCES[0].frames[1]])
    kept = samples.count - count
    assert kept == (flag in (NORMAL, HARD_NEGATIVE)) and learner_of(after).age == 1
    assert torch.equal(filters_of(after), filters) == (flag != HARD_NEGATIVE)
    assert np.array_equal(after.box, box) == (flag == NOT_FOUND) and after.found == (flag != NOT_FOUND)
    if kept:
        newest = samples.weights[count] / samples.weights[:count].mean()
        rate = 0.02 if flag == HARD_NEGATIVE else 0.01
        assert newest == pytest.approx(rate * count * (1 - rate))


@pytest.mark.parametrize("name", ["dimp", "atom"])
def test_the_filter_changes_at_the_interval_alone(name, monkeypatch):
    tracker = micro.tracker(name, "TEST.LEARN.INTERVAL=2", "TEST.LOCALIZE.HARD=1.0", "TEST.LOCALIZE.DISTRACTOR=1.0")
    locate = tracker.method.locate
    monkeypatch.setattr(
        tracker.method, "locate", lambda *given: locate(*given)._replace(flag=torch.zeros(1, dtype=torch.int64))
    )
    (target,) = start(tracker, 0)
    changed = []
    for index in (1, 2, 3, 4):
        before = filters_of(target)
        (target,) = tracker.track([target], [SEQUENCES[0].frames[index]])
        changed.append(not torch.equal(filters_of(target), before))
    assert changed == [False, True, False, True]


def test_a_network_without_a_trained_iou_net_keeps_the_size():
    tracker = micro.tracker("dimp", "TEST.BOX.KIND=previous")
    (target,) = start(tracker, 0)
    size = target.box[2:]
    (target,) = tracker.track([target], [SEQUENCES[0].frames[1]])
    np.testing.assert_allclose(target.box[2:], size, rtol=1e-5)


def test_boxes_of_iou_net_begin_and_end_as_in_the_published_code(monkeypatch):
    """Places there are y x of pixels' middles: pos = corner + (size - 1) / 2. In: the box's corner is its place in the
    crop minus (size - 1) / 2. Out: the corner plus size / 2 is the place; what went in would come out half a pixel of
    the crop further right and lower, which the steps of IoU-Net, trained with such labels, take back."""
    tracker = micro.tracker("dimp", "TEST.BOX.RANDOM=0")
    (target,) = start(tracker, 0)
    frame = Frame(SEQUENCES[0].frames[1][:1], SEQUENCES[0].frames[1][0].shape[:2])
    (view,), side, box = tracker.method.views(target, frame), tracker.method.search_size, np.array([70.0, 40, 20, 30])
    begun_at, step = [], torch.tensor([0.75, -1.25, 2, 4])
    monkeypatch.setattr(
        "lib.models.discriminative.method.climb",
        lambda score, boxes, steps: (begun_at.append(boxes[0, 0]), (boxes + step, torch.zeros(boxes.shape[:2])))[1],
    )
    given = torch.from_numpy(xywh_to_cxcywh(view.to_crop(box)))[None]
    (refined,) = tracker.method.refine(target.state.memory, None, given, side).numpy()
    scale, middle = view.extent[0] / side, np.array(view.corner) + (np.array(view.extent) - 1) / 2
    place = (box[:2] + (box[2:] - 1) / 2 - middle) / scale + (side - 1) / 2
    size = box[2:] / scale
    np.testing.assert_allclose(begun_at[0], [*(place - (size - 1) / 2), *size], rtol=1e-6)
    corner, size = begun_at[0][:2].numpy() + step[:2].numpy(), size + step[2:].numpy()
    place = (corner + size / 2 - (side - 1) / 2) * scale + middle
    np.testing.assert_allclose(view.to_frame(refined), [*(place - (size * scale - 1) / 2), *(size * scale)], rtol=1e-6)


def test_the_place_in_a_region_that_moved_inside_the_frame_is_known():
    method = micro.tracker("prdimp").method
    frame = Frame([np.zeros((120, 160, 3), np.uint8)], (120, 160))
    tracker = micro.tracker("prdimp")
    (target,) = tracker.start([[frame.images[0]]], [np.array([2.0, 50, 16, 16])], ["edge"])
    views = method.views(target, frame)
    (x, y), _ = views[0].corner, views[0].extent
    assert x == 0
    last = method.recall(target, views, frame).last[0]
    np.testing.assert_allclose(last, (np.array([10.0, 58]) - (x, y)) / views[0].extent, rtol=1e-6)
    assert last[0] < 0.2 and target.state.memory.last is None


def test_a_share_of_every_box_stays_inside():
    method = micro.tracker("dimp").method
    box = method.clip(np.array([300.0, -400, 20, 50]), (100, 200))
    np.testing.assert_allclose(box, [196, -40, 20, 50])
    np.testing.assert_allclose(method.clip(np.array([-500.0, 0, 900, 50]), (100, 200))[2:], [200, 50])


def test_the_stream_is_chosen_and_a_memory_that_is_too_small_is_refused():
    assert micro.tracker("dimp", "TEST.STREAM=infrared").streams.single == INFRARED
    network, cfg = micro.model("dimp"), micro.config("dimp", "TEST.MEMORY.SIZE=3")
    message = message_of(build_method, network, cfg)
    assert message == "TEST.MEMORY.SIZE: 3 is below the 7 samples of TEST.FIRST; raise it"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", ["dimp", "atom"])
def test_memory_stays_flat_over_thousands_of_frames(name):
    """What a target owns is allocated once; nothing that a frame makes outlives it."""
    tracker = micro.tracker(name, "TEST.LEARN.INTERVAL=5")
    (target,) = start(tracker, 0)
    frames, sizes = [SEQUENCES[0].frames[k] for k in range(8)], []
    for index in range(1, 3001):
        (target,) = tracker.track([target], [frames[min(index % 14, 14 - index % 14)]])
        if index % 1000 == 0:
            sizes.append(resident())
    assert sizes[-1] - sizes[0] < 8, f"MiB after 1000, 2000 and 3000 frames: {sizes}"


def resident():
    """Memory of this process, MiB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 2**20
