"""Alpha-Refine on other trackers: batched as alone, behind results as in the loop, and what leaves a box as it was."""

import functools

import micro
import numpy as np
import pytest
import torch
from fake_model import fake_tracker, follow_alone, moving_sequence

from lib.core.boxes import clip_corners
from lib.core.errors import InputError
from lib.core.frame import Frame, Streams
from lib.core.target import Target
from lib.models import TRACKERS, build_method
from lib.models.base import ScoreMap
from lib.test.evaluation.engine import follow
from lib.test.tracker.crop_tracker import CropTracker
from lib.test.tracker.forward_pass import Mode
from lib.test.tracker.opencv import OpenCVTracker
from lib.test.tracker.refined import Better, Identity, Refined, join_streams
from lib.test.tracker.refiner import CropRefiner
from lib.test.tracker.replay import Replay, StaticBox

LENGTHS = {"a": 6, "b": 4, "c": 5}
SEQUENCES = [moving_sequence(name, length, (4, 2)) for name, length in LENGTHS.items()]


@functools.cache
def network():
    return micro.model("alpha_refine")


def refiner(*changes, mode=None):
    method = build_method(network(), micro.config("alpha_refine", *changes))
    return CropRefiner(CropTracker(method, "cpu", mode or Mode()), method)


def followed(tracker, sequences=SEQUENCES, batch=2):
    boxes = {}
    follow(tracker, sequences, lambda name, found, *rest: boxes.update({name: found}), batch=batch)
    return boxes


def close(found, expected, atol=1e-3):
    assert set(found) == set(expected)
    for name, rows in expected.items():
        np.testing.assert_allclose(found[name], rows, atol=atol, err_msg=name)


def replay(boxes):
    return Replay(lambda name: boxes[name])


def test_refined_batched_is_alone():
    tracker = Refined(fake_tracker(), refiner("TEST.ROUNDS=2"))
    together = followed(tracker, batch=3)
    close(together, {sequence.name: follow_alone(tracker, sequence) for sequence in SEQUENCES})
    assert all(np.ptp(rows, axis=0).min() > 0 for rows in together.values())


def test_refined_results_are_those_of_the_loop_where_the_base_does_not_look():
    """The base tracker goes its own way, so that its boxes can as well be read from its results."""
    apart = refiner("TEST.WRITE_BACK=false")
    base = followed(fake_tracker())
    looped, afterwards = followed(Refined(fake_tracker(), apart)), followed(Refined(replay(base), apart))
    close(afterwards, looped, atol=0)
    assert any(np.abs(looped[name] - base[name]).max() > 1 for name in LENGTHS)
    close(followed(Refined(replay(base), refiner())), looped, atol=0)  # a replay does not look at corrections either
    corrected = followed(Refined(fake_tracker(), refiner()))
    assert any(np.abs(rows - looped[name]).max() > 1e-3 for name, rows in corrected.items())


def test_the_base_goes_on_from_the_clipped_box_and_the_unclipped_one_is_reported():
    sequence = SEQUENCES[0]
    whole = Refined(StaticBox(), refiner("TEST.CLIP=false"))
    (target,) = whole.start([sequence.frames[0]], [np.array([200.0, 150.0, 60.0, 50.0])], ["a"])
    (moved,) = whole.track([target], [sequence.frames[1]])
    np.testing.assert_array_equal(moved.state.base.box, clip_corners(moved.box, 180, 240))
    assert not np.array_equal(moved.state.base.box, moved.box)
    shifted = Refined(StaticBox(), refiner("TEST.CLIP=false", "TEST.WRITE_BACK_SHIFT=0.5"))
    (other,) = shifted.track([target], [sequence.frames[1]])
    np.testing.assert_array_equal(other.box, moved.box)
    np.testing.assert_array_equal(other.state.base.box, moved.state.base.box + [0.5, 0.5, 0, 0])


def test_two_rounds_are_the_same_as_refining_twice():
    once, twice = refiner(), refiner("TEST.ROUNDS=2")
    frame = Frame([SEQUENCES[0].frames[0][0]], (180, 240))
    target = Target("a", np.array([50.0, 40.0, 40.0, 30.0]))
    (memory,) = once.begin([frame], [target])
    (first,) = once.refine([memory], [frame], [target])
    (second,) = once.refine([memory], [frame], [Target("a", first.box)])
    (both,) = twice.refine([memory], [frame], [target])
    np.testing.assert_array_equal(both.box, second.box)
    assert not np.array_equal(second.box, first.box)


def test_a_refiner_alone_follows_from_its_own_last_box():
    """As the `RF_RF` scripts of the published code: two rounds, around the last box."""
    tracker, sequence = Refined(StaticBox(), refiner("TEST.ROUNDS=2")), SEQUENCES[0]
    (target,) = tracker.start([sequence.frames[0]], [sequence.boxes[0]], ["a"])
    (first,) = tracker.track([target], [sequence.frames[1]])
    (second,) = tracker.track([first], [sequence.frames[2]])
    own = refiner("TEST.ROUNDS=2")
    frame = Frame([sequence.frames[2][0]], (180, 240))
    (expected,) = own.refine([target.state.memory], [frame], [Target("a", first.box)])
    np.testing.assert_array_equal(second.box, expected.box)


@pytest.mark.parametrize("box", [[-90.0, 20, 40, 40], [250.0, 20, 40, 40], [10.0, 10, 900, 20], [5.0, 5, 0, 9]])
def test_boxes_that_show_nothing_stay(box):
    own, frame = refiner(), Frame([SEQUENCES[0].frames[0][0]], (180, 240))
    (memory,) = own.begin([frame], [Target("a", np.array([50.0, 40.0, 40.0, 30.0]))])
    better = own.refine([memory] * 2, [frame] * 2, [Target("a", np.array(box)), Target("b", SEQUENCES[0].boxes[0])])
    assert better[0].box.tolist() == box and better[1].box.tolist() != SEQUENCES[0].boxes[0].tolist()


def test_answers_that_are_not_finite_leave_the_base_box(monkeypatch):
    monkeypatch.setattr(network(), "read", lambda prediction: torch.full((len(prediction.corners), 4), torch.nan))
    assert followed(Refined(fake_tracker(), refiner())).keys() == LENGTHS.keys()
    close(followed(Refined(fake_tracker(), refiner())), followed(fake_tracker()))


def test_masks_of_every_frame_and_none_of_a_lost_target():
    tracker, sequence = Refined(fake_tracker(), refiner("TEST.MASK=true")), SEQUENCES[0]
    black = [np.zeros((180, 240, 3), np.uint8)] * 2
    (first,) = tracker.start([sequence.frames[0]], [sequence.boxes[0]], ["a"])
    (second,) = tracker.track([first], [sequence.frames[1]])
    (lost,) = tracker.track([second], [black])
    assert first.mask.values.shape == second.mask.values.shape == (128, 128)
    assert np.array_equal(first.box, sequence.boxes[0]) and first.mask.corner == (45, 40)
    assert not lost.found and lost.mask is None
    assert Refined(fake_tracker(), refiner()).start([sequence.frames[0]], [sequence.boxes[0]])[0].mask is None


def test_the_base_box_stays_where_only_masks_are_wanted():
    """VOT2020: the base tracker is left alone, and the mask is cut around its box."""
    tracker = Refined(fake_tracker(), refiner("TEST.BOX=base", "TEST.MASK=true"))
    close(followed(tracker), followed(fake_tracker()), atol=0)


def test_crops_cut_on_the_device_differ_by_little():
    exact, fast = (followed(Refined(fake_tracker(), refiner(mode=mode))) for mode in (Mode(), Mode(crops="fast")))
    close(fast, exact, atol=0.5)


class Stubborn:
    """An object of OpenCV's tracker that always says the same."""

    def init(self, picture, box):
        self.box = box

    def update(self, picture):
        return True, self.box


def test_a_tracker_that_cannot_be_corrected_goes_its_own_way():
    tracker = Refined(OpenCVTracker(Stubborn, "visible"), refiner())
    assert not tracker.corrects
    boxes = followed(tracker, SEQUENCES[:1])["a"]
    assert np.ptp(boxes[1:], axis=0).max() > 0
    (target,) = tracker.start([SEQUENCES[0].frames[0]], [SEQUENCES[0].boxes[0]], ["a"])
    with pytest.raises(InputError, match="cannot go on from another box"):
        tracker.correct([target], [SEQUENCES[0].boxes[0]])


def test_a_base_and_a_refiner_of_different_cameras_read_both():
    sequence = SEQUENCES[0]
    assert join_streams(Streams(1), Streams(1, single="infrared")) == Streams(2)
    assert join_streams(Streams(2, own_boxes=True), Streams(1)) == Streams(2, own_boxes=True)
    assert join_streams(Streams(1, single="infrared"), Streams(1, single="infrared")).modalities == 1
    seen = []
    tracker = Refined(fake_tracker(modalities=1), refiner("TEST.STREAM=infrared"))
    inner = tracker.refiner.tracker
    track = inner.track
    inner.track = lambda targets, frames: seen.extend(frames) or track(targets, frames)
    close({"a": follow_alone(tracker, sequence)[:1]}, {"a": sequence.boxes[:1]})
    np.testing.assert_array_equal(seen[0].images[0], sequence.frames[1][1])


def test_the_observer_sees_the_base_tracker():
    tracker, sequence, maps = Refined(fake_tracker(), refiner()), SEQUENCES[0], []
    (target,) = tracker.start([sequence.frames[0]], [sequence.boxes[0]], ["a"])
    tracker.track([target], [sequence.frames[1]], lambda targets, views, heats: maps.extend(views))
    assert [view.size for view in maps[0]] == [(256, 256)]
    assert isinstance(network().score_map(network()(*_memory())), ScoreMap)


def _memory():
    batch = micro.batch("alpha_refine")
    return network().embed(batch.template), batch.search


@pytest.mark.parametrize("base", [name for name in TRACKERS if name not in ("alpha_refine", micro.TOY)])
def test_every_tracker_of_the_registry_goes_on_from_the_refined_box(base):
    """Its own way of taking a box (`Method.correct`), asked of the tracker alone."""
    own = micro.tracker(base)
    images = [SEQUENCES[0].frames[index][: own.streams.modalities] for index in (0, 1, 2)]
    tracker = Refined(own, Fixed(np.array([70.0, 56.0, 36.0, 26.0])))
    (target,) = tracker.start([images[0]], [SEQUENCES[0].boxes[0]], ["a"])
    (moved,) = tracker.track([target], [images[1]])
    if not moved.found:  # random weights may say so
        assert moved.state.base.found is False
        return
    assert moved.box.tolist() == moved.state.base.box.tolist() == [70, 56, 36, 26]
    views = []
    tracker.track([moved], [images[2]], lambda targets, shown, maps: views.extend(shown))
    centre = views[0][0].around[:2] + views[0][0].around[2:] / 2
    np.testing.assert_allclose(centre, [88, 69], atol=2)  # some views begin at whole pixels of a scene


class Fixed(Identity):
    """A refiner that always says the same."""

    def __init__(self, box):
        self.box = box

    def refine(self, memories, frames, targets):
        return [Better(self.box) for _ in targets]
