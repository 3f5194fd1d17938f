"""Trackers that learn while they track: what they own is theirs, and is not copied. See tests/toy_learner.py."""

import pickle
from dataclasses import replace

import micro
import numpy as np
import torch
from fake_model import follow_alone, moving_sequence
from torch.utils._python_dispatch import TorchDispatchMode
from toy_learner import SAMPLES

from lib.core import tree
from lib.core.tree import Owned

SEQUENCES = [
    moving_sequence("right", step=(6, 0)),
    moving_sequence("left", step=(-5, 2), colour=(10, 250, 90, 9, 9, 9)),
]


def start(tracker):
    return tracker.start([s.frames[0] for s in SEQUENCES], [s.boxes[0] for s in SEQUENCES])


def samples_of(target):
    return target.state.memory.samples.items[0]


class Allocations(TorchDispatchMode):
    """The bytes of every tensor that an operation makes."""

    def __init__(self):
        super().__init__()
        self.known, self.largest = set(), 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        made = function(*arguments, **(options or {}))
        for value in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(value, torch.Tensor) and value.untyped_storage().data_ptr() not in self.known:
                self.largest = max(self.largest, value.numel() * value.element_size())
        return made


def test_what_a_target_owns_is_changed_in_place_and_never_copied():
    tracker = micro.tracker("toy_learner")
    targets = start(tracker)
    owned = [samples_of(target) for target in targets]
    assert all(own.maps.numel() * own.maps.element_size() > 10e6 for own in owned)
    seen = Allocations()
    seen.known = {own.maps.untyped_storage().data_ptr() for own in owned}
    with seen:
        for index in (1, 2, 3):
            targets = tracker.track(targets, [s.frames[index] for s in SEQUENCES])
    assert seen.largest < 5e6, "nothing as large as a memory is made while tracking"
    assert [samples_of(target) for target in targets] == owned and [own.count for own in owned] == [4, 4]


def test_weights_are_learned_by_gradients_while_tracking():
    tracker = micro.tracker("toy_learner")
    before = start(tracker)
    after = tracker.track(before, [s.frames[1] for s in SEQUENCES])
    for old, new in zip(before, after, strict=True):
        assert not torch.equal(old.state.memory.weights, new.state.memory.weights)
        assert not new.state.memory.weights.requires_grad
    assert all(parameter.grad is None for parameter in tracker.method.network.parameters())


def test_the_better_of_two_views_wins():
    """A target that jumped out of the narrow view is found in the wide one."""
    jump, tracker = moving_sequence("jump", step=(50, 0)), micro.tracker("toy_learner")
    (target,) = tracker.start([jump.frames[0]], [jump.boxes[0]])
    views = []
    (moved,) = tracker.track([target], [jump.frames[1]], lambda targets, shown, maps: views.extend(shown))
    narrow, wide = views[0]
    assert narrow.size == wide.size
    middle = moved.box[0] + moved.box[2] / 2
    assert narrow.corner[0] + narrow.extent[0] < middle < wide.corner[0] + wide.extent[0]
    np.testing.assert_allclose(moved.box[2:], jump.boxes[1, 2:], rtol=0.05)


def test_a_pickled_learner_goes_on_as_it_would_have():
    tracker = micro.tracker("toy_learner")
    targets = tracker.track(start(tracker), [s.frames[1] for s in SEQUENCES])
    thawed = pickle.loads(pickle.dumps(targets))
    for index in (2, 3):
        frames = [s.frames[index] for s in SEQUENCES]
        targets, thawed = tracker.track(targets, frames), tracker.track(thawed, frames)
        for one, other in zip(targets, thawed, strict=True):
            np.testing.assert_array_equal(one.box, other.box)


def test_the_ring_of_samples_overwrites_the_oldest():
    tracker = micro.tracker("toy_learner", "TEST.STEPS=0")
    long = replace(SEQUENCES[0], boxes=SEQUENCES[0].boxes)
    (target,) = tracker.start([long.frames[0]], [long.boxes[0]])
    for _ in range(SAMPLES):
        (target,) = tracker.track([target], [long.frames[0]])
    assert samples_of(target).count == SAMPLES + 1
    assert len(follow_alone(tracker, long)) == len(long)


def test_owned_objects_travel_through_trees_uncopied():
    first, second = ({"a": 1}, {"b": 2})
    joined = tree.join([(torch.zeros(1, 2), Owned(first)), (torch.ones(1, 2), Owned(second))])
    assert joined[1].items == (first, second) and joined[1].items[0] is first
    alone = tree.part(joined, 1)
    assert alone[1].items[0] is second and alone[0].tolist() == [[1, 1]]
    assert tree.map_tensors(lambda part: part + 1, joined)[1] is joined[1]
