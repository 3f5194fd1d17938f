import logging
import pickle
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from easydict import EasyDict
from fake_model import (
    CONFIG,
    FakeMethod,
    FakeModel,
    MovingSquare,
    fake_tracker,
    follow_alone,
    follow_together,
    make_tracker,
    moving_sequence,
)

from lib.core import tree
from lib.core.errors import InputError
from lib.core.frame import Frame, Streams
from lib.core.view import place_square
from lib.datasets.sequence import stack_modalities
from lib.test.tracker.protocol import read_frame

BOX = np.array([60.0, 50.0, 30.0, 20.0])


def changed(**test):
    """The configuration with other keys of TEST."""
    return EasyDict(TEST={**CONFIG.TEST, **test})


def test_box_returns_to_the_frame_within_a_pixel():
    sequence = moving_sequence("walk", length=10)
    boxes = follow_alone(fake_tracker(), sequence)
    np.testing.assert_array_equal(boxes[0], sequence.boxes[0])
    np.testing.assert_allclose(boxes, sequence.boxes, atol=1.0)


def test_batch_gives_each_target_what_it_gets_alone():
    tracker = fake_tracker()
    sequences = [
        moving_sequence("right", step=(6, 0)),
        moving_sequence("left", step=(-5, 2), colour=(10, 250, 90, 120, 120, 120)),
        moving_sequence("larger frame", step=(3, 3), size=(300, 400)),
    ]
    together = follow_together(tracker, sequences)
    assert tracker.method.network.calls == [3] * 7
    for sequence, boxes in zip(sequences, together, strict=True):
        np.testing.assert_array_equal(boxes, follow_alone(tracker, sequence))


@pytest.mark.parametrize("overrates", [(1.4, 0.8), (0.7, 1.9)])
def test_calibration_takes_off_what_the_network_overrates(overrates):
    sequences = [moving_sequence("right", step=(6, 0)), moving_sequence("left", step=(-5, 2))]
    plain = make_tracker(FakeModel(overrates=overrates), CONFIG)
    wrong = follow_together(plain, sequences)[0][-1]
    np.testing.assert_allclose(wrong[2:] / sequences[0].boxes[-1][2:], overrates, atol=0.1)
    calibrated = make_tracker(FakeModel(overrates=overrates), changed(CALIBRATE=True))
    together = follow_together(calibrated, sequences)
    for sequence, boxes in zip(sequences, together, strict=True):
        np.testing.assert_allclose(boxes, sequence.boxes, atol=1.5)
        np.testing.assert_array_equal(boxes, follow_alone(calibrated, sequence))


def test_calibration_learns_nothing_where_the_target_is_not_found():
    frame = MovingSquare(np.array([[60, 50, 100, 20]]))[0]  # its middle is beside the box that is given
    tracker = make_tracker(FakeModel(overrates=(1.4, 0.8)), changed(CALIBRATE=True))
    (target,) = tracker.start([frame], [BOX], ["beside"])
    np.testing.assert_array_equal(target.state.settings.bias, [1, 1])


@pytest.mark.parametrize(("rate", "power"), [(0.0, 0), (0.5, 0.5), (1.0, 1)])
def test_size_follows_as_far_as_its_rate_says(rate, power):
    boxes = np.array([[60, 50, 30, 20], [60, 50, 60, 30]])
    tracker = make_tracker(FakeModel(), changed(SIZE_RATE=rate))
    frames = MovingSquare(boxes)
    targets = tracker.start([frames[0]], [boxes[0]], ["grows"])
    (target,) = tracker.track(targets, [frames[1]])
    np.testing.assert_allclose(target.box[2:], boxes[0, 2:] * np.array([2, 1.5]) ** power, rtol=0.05)
    np.testing.assert_allclose(target.box[:2] + target.box[2:] / 2, [90, 65], atol=1)


def test_model_that_cannot_be_batched_sees_one_target_at_a_time():
    tracker = fake_tracker()
    tracker.method.batched = False
    sequences = [moving_sequence("a"), moving_sequence("b", step=(2, 4))]
    boxes = follow_together(tracker, sequences)
    assert set(tracker.method.network.calls) == {1}
    np.testing.assert_allclose(boxes, [s.boxes for s in sequences], atol=1.0)


def test_box_is_clipped_with_ten_pixels_inside():
    sequence = moving_sequence("leaves", length=40, step=(5, 0))  # reaches x=255 in an image 240 wide
    last = follow_alone(fake_tracker(), sequence)[-1]
    assert last[0] <= 230 and last[0] + max(last[2], 10) <= 240
    assert (last[2:] >= 10).all()


def test_lost_target_stays_and_says_so_once(caplog):
    boxes = np.array([BOX, [500, 500, 1, 1], [500, 500, 1, 1]]).astype(int)
    frames = MovingSquare(boxes)
    tracker = fake_tracker()
    targets = tracker.start([frames[0]], [BOX], ["gone"])
    with caplog.at_level(logging.WARNING):
        for index in (1, 2):
            targets = tracker.track(targets, [frames[index]])
    np.testing.assert_array_equal(targets[0].box, BOX)
    assert targets[0].score == 0 and not targets[0].found
    assert caplog.text.count("gone: the network's answer is not finite") == 1


def test_frame_that_shrinks_around_the_target_does_not_stop_it():
    tracker = fake_tracker()
    box = np.array([200.0, 150.0, 20.0, 20.0])
    targets = tracker.start([MovingSquare(box[None].astype(int))[0]], [box])
    small = [np.zeros((40, 50, 3), np.uint8)] * 2
    (target,) = tracker.track(targets, [small])
    np.testing.assert_array_equal(target.box, [40, 30, 10, 10])


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([60, 50, 0, 20], "has no area"),
        ([60, 50, 30, -1], "has no area"),
        ([60, 50, np.nan, 20], "has no area"),
        ([240, 50, 30, 20], "lies outside its 240x180 image"),
        ([-40, 50, 30, 20], "lies outside its 240x180 image"),
        ([60, 50, 1e9, 1e9], "is beyond any image; give pixels"),
        ([-1e300, 50, 1e300, 20], "is beyond any image; give pixels"),
        ([60, 50, 500, 20], "is more than 2 times as large as its 240x180 image; check the box: x y width height"),
        ([60, 50, 30, 20000], "is more than 2 times as large as its 240x180 image"),
    ],
)
def test_unusable_first_box_is_one_line_that_names_the_sequence(box, message):
    images = moving_sequence("any").frames[0]
    with pytest.raises(InputError, match=message) as error:
        fake_tracker().start([images], [np.array(box, float)], ["blackcar"])
    assert str(error.value).startswith("blackcar: first box") and "\n" not in str(error.value)


def test_a_correction_to_an_absurd_box_is_one_line_and_a_large_one_is_clipped():
    sequence, tracker = moving_sequence("any"), fake_tracker()
    targets = tracker.start([sequence.frames[0]], [sequence.boxes[0]], ["blackcar"])
    for box in ([60, 50, 1e9, 1e9], [60, 50, np.inf, 20], [1e9, 50, 30, 20], [60, 50, 0, 20]):
        with pytest.raises(InputError, match="blackcar: box x="):
            tracker.correct(targets, [np.array(box)])
    large = tracker.correct(targets, [np.array([0.0, 0, 60000, 60000])])
    (target,) = tracker.track(large, [sequence.frames[1]])  # without this a crop of 14 GB
    assert (target.box[2:] <= [240, 180]).all()


def test_two_corners_instead_of_a_size_are_named(caplog):
    images = moving_sequence("any").frames[0]
    for box in ([60, 50, 230, 70], [200, 150, 30, 20], [-5, 50, 230, 170], [60, 50, 90, 70]):
        fake_tracker().start([images], [np.array(box, float)], ["blackcar"])
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith(
        "blackcar: first box 60,50,230,70 sticks out of its 240x180 image and looks like x1,y1,x2,y2"
    )
    assert said.endswith("give x,y,w,h: 60,50,170,20")


def test_thousandths_of_the_image_are_named(caplog):
    images = moving_sequence("any").frames[0]
    for box in ([210, 50, 100, 20], [60, 50, 90, 70], [220, 50, 30, 20], [230, 170, 15, 15]):
        fake_tracker().start([images], [np.array(box, float)], ["blackcar"])
    (said,) = caplog.messages
    assert "sticks out of its 240x180 image and looks like thousandths of the image; if it is" in said
    assert said.endswith("give x,y,w,h: 50.4,9,24,3.6")
    with pytest.raises(InputError, match="lies outside its 240x180 image; looks like thousandths.*: 120,90,24,18"):
        fake_tracker().start([images], [np.array([500.0, 500, 100, 100])], ["blackcar"])
    with pytest.raises(InputError, match="lies outside its 240x180 image; check the box"):
        fake_tracker().start([images], [np.array([2500.0, 500, 100, 100])], ["blackcar"])


def test_first_box_that_is_half_outside_is_fine():
    images = MovingSquare(np.array([[-15, 50, 30, 20]]))[0]
    (target,) = fake_tracker().start([images], [np.array([-15.0, 50, 30, 20])])
    np.testing.assert_array_equal(target.box, [-15, 50, 30, 20])


def test_modalities_of_different_size_are_named():
    images = [np.zeros((180, 240, 3), np.uint8), np.zeros((90, 120, 3), np.uint8)]
    with pytest.raises(InputError, match="car: visible image is 240x180, infrared image is 120x90"):
        fake_tracker().start([images], [BOX], ["car"])


def test_grey_copy_stands_in_for_the_infrared_image():
    visible = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    stacked = stack_modalities([visible], 2, "rgb")
    np.testing.assert_array_equal(stacked[..., :3], visible)
    luma = visible @ np.array([0.299, 0.587, 0.114])
    for channel in (3, 4, 5):
        np.testing.assert_allclose(stacked[..., channel], luma, atol=1)


def test_visible_sequence_through_a_model_of_two_modalities():
    sequence = moving_sequence("rgb", modalities=("visible",))
    np.testing.assert_allclose(follow_alone(fake_tracker(), sequence), sequence.boxes, atol=1.0)


def test_pair_through_a_model_of_one_modality_uses_the_visible_image_alone():
    frames = moving_sequence("pair").frames
    odd_infrared = [[images[0], np.zeros((5, 5, 3), np.uint8)] for images in (frames[0], frames[1])]
    tracker = fake_tracker(modalities=1)
    targets = tracker.start(odd_infrared[:1], [BOX])
    (target,) = tracker.track(targets, odd_infrared[1:])
    np.testing.assert_allclose(target.box, [65, 53, 30, 20], atol=1.0)


def test_larger_search_region_finds_a_target_that_jumped():
    frames = MovingSquare(np.array([BOX, [160, 120, 30, 20], [160, 120, 30, 20], [160, 120, 30, 20]]).astype(int))
    tracker = make_tracker(SearchingModel())
    targets, seen = tracker.start([frames[0]], [BOX]), []
    for index in (1, 2, 3):
        targets = tracker.track(targets, [frames[index]])
        seen.append((targets[0].found, targets[0].state.settings.size))
    assert seen == [(False, 768), (True, 256), (True, 256)]
    np.testing.assert_allclose(targets[0].box, [160, 120, 30, 20], atol=1.0)


def test_targets_of_different_search_sizes_move_as_they_would_alone():
    """The lost one lies between the others, so that the order of the passes is not that of the targets."""
    lost = MovingSquare(np.array([BOX, [160, 120, 30, 20], [160, 120, 30, 20]]).astype(int))
    first, last = moving_sequence("first", step=(2, 1)).frames, moving_sequence("last", step=(-3, 4)).frames
    tracker = make_tracker(SearchingModel())
    targets, seen = tracker.start([first[0], lost[0], last[0]], [BOX] * 3, ["first", "lost", "last"]), []
    for index in (1, 2):
        images = [first[index], lost[index], last[index]]
        before, targets = targets, tracker.track(targets, images, lambda of, *_: seen.append([t.name for t in of]))
    assert seen == [["first", "lost", "last"], ["first", "last"], ["lost"]]
    for target, image, moved in zip(before, images, targets, strict=True):
        (alone,) = tracker.track([target], [image])
        np.testing.assert_array_equal(moved.box, alone.box)
        assert (moved.name, moved.age) == (alone.name, alone.age) == (target.name, 2)


class Searching(NamedTuple):
    bias: np.ndarray
    size: int


class SearchingMethod(FakeMethod):
    """Searches a region three times as large while the target is lost."""

    def initial_settings(self, frame, box):
        assert frame.size == (180, 240)
        return Searching(np.ones(2), self.search_size)

    def views(self, target, frame):
        size = target.state.settings.size
        return [place_square(target.box, self.search_factor * size / self.search_size, size, frame.size)]

    def prepare_next(self, target, frame):
        size = self.search_size if target.score > 0 else 3 * self.search_size
        state = target.state._replace(settings=target.state.settings._replace(size=size))
        return replace(target, state=state, found=target.found and size == self.search_size)


class SearchingModel(FakeModel):
    method_class = SearchingMethod


def test_network_that_learns_online_gives_each_target_its_new_memory():
    sequences = [moving_sequence("a"), moving_sequence("b", colour=(10, 250, 90, 120, 120, 120))]
    tracker = make_tracker(LearningModel())
    targets = tracker.start([s.frames[0] for s in sequences], [s.boxes[0] for s in sequences])
    moved = tracker.track(targets, [s.frames[1] for s in sequences])
    for before, after in zip(targets, moved, strict=True):
        torch.testing.assert_close(after.state.memory.colour, before.state.memory.colour + 0.01)


class LearningMethod(FakeMethod):
    def decide(self, memory, prediction, pixels, prior):
        answer = super().decide(memory, prediction, pixels, prior)
        return answer._replace(memory=memory._replace(colour=memory.colour + 0.01))


class LearningModel(FakeModel):
    method_class = LearningMethod


def test_targets_can_be_pickled_and_go_on():
    sequence = moving_sequence("resume")
    tracker = fake_tracker()
    targets = tracker.start([sequence.frames[0]] * 2, [sequence.boxes[0]] * 2)
    thawed = pickle.loads(pickle.dumps(targets))
    expected = tracker.track(targets, [sequence.frames[1]] * 2)
    for target, other in zip(tracker.track(thawed, [sequence.frames[1]] * 2), expected, strict=True):
        np.testing.assert_array_equal(target.box, other.box)


def test_a_pickled_target_carries_its_own_memory_alone():
    sequence, tracker = moving_sequence("many"), make_tracker(LearningModel())
    sizes = []
    for count in (1, 40):
        targets = tracker.start([sequence.frames[0]] * count, [sequence.boxes[0]] * count, ["same"] * count)
        moved = tracker.track(targets, [sequence.frames[1]] * count)
        sizes.append([len(pickle.dumps(target)) for target in (targets[0], moved[0])])
    assert sizes[0] == sizes[1]


def test_tracking_leaves_its_arguments_alone():
    sequence = moving_sequence("pure")
    tracker = fake_tracker()
    targets = tracker.start([sequence.frames[0]], [sequence.boxes[0]])
    before = targets[0].box.copy(), targets[0].state.memory.colour.clone()
    tracker.track(targets, [sequence.frames[1]])
    np.testing.assert_array_equal(targets[0].box, before[0])
    assert (targets[0].state.memory.colour == before[1]).all()


def test_an_observer_sees_each_pass_and_changes_nothing():
    tracker, sequence = fake_tracker(), moving_sequence("watched")
    seen = []
    targets = tracker.start([sequence.frames[0]], [sequence.boxes[0]])
    watched = tracker.track(targets, [sequence.frames[1]], lambda *views: seen.append(views))
    assert watched[0].box.tolist() == tracker.track(targets, [sequence.frames[1]])[0].box.tolist()
    ((of, ((view,),), maps),) = seen
    assert of == targets and view.around is targets[0].box and view.size == (256, 256) and maps == [None]


def test_a_memory_that_did_not_change_is_joined_once(monkeypatch):
    """The join of the last pass serves as long as the same targets move."""
    joined, tracker = [], fake_tracker()
    monkeypatch.setattr(tree, "join", lambda memories, join=tree.join: joined.append(len(memories)) or join(memories))
    sequences = [moving_sequence("a"), moving_sequence("b", step=(2, 4))]
    follow_together(tracker, sequences)
    assert joined == [2]


def test_a_corrected_target_goes_on_from_its_box_with_what_it_learned():
    sequence, tracker = moving_sequence("walk"), make_tracker(LearningModel())
    targets = tracker.start([sequence.frames[0]], [sequence.boxes[0]])
    (moved,) = tracker.track(targets, [sequence.frames[1]])
    (corrected,) = tracker.correct([moved], [sequence.boxes[1] + [2, 1, 0, 0]])
    assert corrected.state.memory is moved.state.memory and corrected.age == moved.age == 1
    views = []
    tracker.track([corrected], [sequence.frames[2]], lambda targets, shown, maps: views.extend(shown))
    np.testing.assert_array_equal(views[0][0].around, sequence.boxes[1] + [2, 1, 0, 0])


def test_a_reduced_first_frame_is_read_at_its_own_size():
    """A frame that was decoded smaller is cut where it is, not where a whole one would be."""
    sequence = moving_sequence("half")
    whole, tracker = read_frame(sequence.frames[0], Streams(), "half"), fake_tracker()
    reduced = Frame([image[::2, ::2] for image in whole.images], whole.size, 2)
    (target,) = tracker.start([reduced], [sequence.boxes[0]])
    (moved,) = tracker.track([target], [sequence.frames[1]])
    np.testing.assert_allclose(moved.box, sequence.boxes[1], atol=1.5)
