"""Trackers around trackers: results replayed, boxes refined, boxes that never move."""

import numpy as np
import pytest
from fake_model import fake_tracker, follow_alone, moving_sequence

from lib.core.errors import InputError
from lib.core.frame import Streams
from lib.test.evaluation.engine import follow
from lib.test.evaluation.open import open_replay
from lib.test.results.dialect import read_result
from lib.test.results.files import write_result
from lib.test.tracker.refined import Better, Identity, Refined
from lib.test.tracker.replay import StaticBox

LENGTHS = {"a": 9, "b": 4, "c": 6}


@pytest.fixture
def sequences():
    return [moving_sequence(name, length, (4, 2)) for name, length in LENGTHS.items()]


@pytest.fixture
def results(tmp_path):
    """Anybody's result files: boxes that have nothing to do with the images."""
    rng = np.random.default_rng(0)
    for name, length in LENGTHS.items():
        boxes = rng.uniform(5, 90, (length, 4))
        write_result(tmp_path, name, boxes, np.ones(length))
    return tmp_path


def followed(tracker, sequences, batch=2):
    boxes = {}
    follow(tracker, sequences, lambda name, found, *rest: boxes.update({name: found}), batch=batch)
    return boxes


def test_replayed_and_refined_by_nothing_a_folder_gives_its_boxes_back(results, sequences):
    for tracker in (open_replay(results), Refined(open_replay(results), Identity())):
        boxes = followed(tracker, sequences)
        for name in LENGTHS:
            np.testing.assert_array_equal(boxes[name], read_result(results / f"{name}.txt"))


def test_a_replay_without_a_result_or_with_too_short_a_one_is_one_line(results, sequences):
    with pytest.raises(InputError, match=r"d: no result"):
        followed(open_replay(results), [moving_sequence("d", 3)])
    with pytest.raises(InputError, match="b: its result has 4 boxes, none for frame 5"):
        followed(open_replay(results), [moving_sequence("b", 6)])


class Grow:
    """A refiner that makes boxes two pixels wider and counts what it kept."""

    streams = Streams(1)
    writes_back = True
    back_shift = 0.0

    def begin(self, frames, targets):
        return self._kept(frames, targets)

    def refine(self, memories, frames, targets):
        assert memories == self._kept(frames, targets)
        assert all(len(frame.images) == 1 for frame in frames)
        return [Better(target.box + [-1, 0, 2, 0]) for target in targets]

    def segment(self, memories, frames, targets):
        return [None] * len(targets)

    @staticmethod
    def _kept(frames, targets):
        return [(target.name, frame.images[0].shape) for target, frame in zip(targets, frames, strict=True)]


def test_a_refined_box_is_what_is_given_out_and_where_the_tracker_goes_on(sequences):
    """The base's own state is kept apart: its next search is around the refined box."""
    sequence, refined = sequences[0], Refined(fake_tracker(), Grow())
    first = refined.start([sequence.frames[0]], [sequence.boxes[0]], ["a"])
    np.testing.assert_array_equal(first[0].box, sequence.boxes[0])
    moved = refined.track(first, [sequence.frames[1]])
    (plain,) = fake_tracker().track(
        fake_tracker().start([sequence.frames[0]], [sequence.boxes[0]]), [sequence.frames[1]]
    )
    np.testing.assert_allclose(moved[0].box, plain.box + [-1, 0, 2, 0])
    views = []
    refined.track(moved, [sequence.frames[2]], lambda targets, shown, maps: views.extend(shown))
    np.testing.assert_array_equal(views[0][0].around, moved[0].box)
    assert refined.streams.modalities == 2 and refined.reduction(moved[0]) == 1


def test_refined_batched_is_alone(sequences):
    refined = Refined(fake_tracker(), Grow())
    together = followed(refined, sequences, batch=3)
    for sequence in sequences:
        np.testing.assert_array_equal(together[sequence.name], follow_alone(refined, sequence))


def test_a_target_that_was_not_found_is_not_refined(sequences):
    sequence, refined = sequences[0], Refined(fake_tracker(), Grow())
    first = refined.start([sequence.frames[0]], [sequence.boxes[0]])
    black = [np.zeros((180, 240, 3), np.uint8)] * 2
    (lost,) = refined.track(first, [black])
    assert not lost.found and lost.box.tolist() == sequence.boxes[0].tolist()


def test_a_lost_target_takes_nothing_from_those_beside_it(sequences):
    refined = Refined(fake_tracker(), Grow())
    frames, boxes = [one.frames[0] for one in sequences], [one.boxes[0] for one in sequences]
    targets = refined.start(frames, boxes, list(LENGTHS))
    black = [np.zeros((180, 240, 3), np.uint8)] * 2
    moved = refined.track(targets, [black, *(one.frames[1] for one in sequences[1:])])
    assert [target.found for target in moved] == [False, True, True]
    assert [target.state.memory[0] for target in moved] == list(LENGTHS)
    for target, sequence in zip(moved[1:], sequences[1:], strict=True):
        np.testing.assert_array_equal(target.box, follow_alone(refined, sequence)[1])


def test_the_static_box_stays_where_it_was(sequences):
    boxes = followed(StaticBox(), sequences)
    assert all(np.ptp(rows, axis=0).tolist() == [0] * 4 for rows in boxes.values())
