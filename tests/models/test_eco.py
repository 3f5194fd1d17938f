"""ECO: sizes and scales, what is learned and kept, and how it follows targets."""

import pickle

import micro
import numpy as np
import pytest
import torch
from compare import message_of
from fake_model import follow_alone, moving_sequence

from lib.core.checkpoint import load_weights, save_checkpoint
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.core.frame import Frame
from lib.models import build_method, build_model
from lib.models.online.eco_method import whole_size
from lib.models.weights import load_state
from lib.test.tracker.forward_pass import Mode

SEQUENCES = [
    moving_sequence("right", step=(4, 0)),
    moving_sequence("left", step=(-3, 2), colour=(10, 250, 90, 9, 9, 9)),
]


def start(tracker, sequences=SEQUENCES):
    return tracker.start([s.frames[0] for s in sequences], [s.boxes[0] for s in sequences], [s.name for s in sequences])


def learner_of(target):
    return target.state.memory.learner.items[0]


def overlap(box, other):
    size = np.minimum(box[:2] + box[2:], other[:2] + other[2:]) - np.maximum(box[:2], other[:2])
    shared = np.prod(np.maximum(size, 0))
    return shared / (np.prod(box[2:]) + np.prod(other[2:]) - shared)


def test_sizes_are_odd_multiples_of_the_coarse_stride():
    assert [whole_size(size) for size in (200, 223.9, 224, 250)] == [208, 208, 240, 240]
    cfg = micro.config("eco", "TEST.SMALLEST_SIZE=200", "TEST.LARGEST_SIZE=250")
    method = build_method(build_model(cfg), cfg)
    frame = Frame([np.zeros((400, 500, 3), np.uint8)], (400, 500))
    small, middle, large = (
        method.initial_settings(frame, np.array([9.0, 9, side, side])) for side in (10.0, 50.0, 200.0)
    )
    assert (small.size, middle.size, large.size) == (208, 240, 240)
    assert small.scale == pytest.approx(45 / 200) and middle.scale == 1 and large.scale == pytest.approx(900 / 250)
    np.testing.assert_allclose(large.base, [200 / 3.6] * 2)


def test_settings_that_contradict_each_other_are_refused():
    cfg = micro.config("eco", "TEST.SMALLEST_SIZE=300")
    with pytest.raises(InputError, match=r"TEST\.SMALLEST_SIZE: 300 is above LARGEST_SIZE 100"):
        build_method(build_model(cfg), cfg)
    cfg = micro.config("eco", "TEST.LEARN.MEMORY=5")
    with pytest.raises(InputError, match=r"TEST\.LEARN\.MEMORY: 5 is below the 8 samples of TEST\.FIRST; raise it"):
        build_method(build_model(cfg), cfg)


def test_a_target_gets_the_same_boxes_alone_and_among_others():
    tracker = micro.tracker("eco")
    alone = [follow_alone(tracker, sequence) for sequence in SEQUENCES]
    targets = start(tracker)
    assert len({target.state.settings.size for target in targets}) == 1, "one pass for both"
    for index in range(1, len(SEQUENCES[0].boxes)):
        targets = tracker.track(targets, [s.frames[index] for s in SEQUENCES])
        for target, boxes in zip(targets, alone, strict=True):
            np.testing.assert_allclose(target.box, boxes[index], atol=1e-3)
            assert 0 < target.score <= 1 and target.found


def test_it_follows_a_square_with_random_features():
    tracker = micro.tracker("eco")
    for sequence in SEQUENCES:
        boxes = follow_alone(tracker, sequence)
        last = len(boxes) - 1
        assert overlap(boxes[last], sequence.boxes[last]) > 0.6
        assert overlap(sequence.boxes[0], sequence.boxes[last]) < 0.6, "a box that stays where it was is worse"


def test_a_pickled_target_goes_on_as_it_would_have():
    tracker = micro.tracker("eco")
    targets = tracker.track(start(tracker), [s.frames[1] for s in SEQUENCES])
    thawed = pickle.loads(pickle.dumps(targets))
    for index in (2, 3):
        frames = [s.frames[index] for s in SEQUENCES]
        targets, thawed = tracker.track(targets, frames), tracker.track(thawed, frames)
        for one, other in zip(targets, thawed, strict=True):
            np.testing.assert_array_equal(one.box, other.box)


def test_filters_learn_at_their_interval_and_the_network_does_not_change():
    tracker = micro.tracker("eco")
    before = {key: value.clone() for key, value in tracker.method.network.state_dict().items()}
    (target,) = start(tracker, SEQUENCES[:1])
    filters, compression = [target.state.memory.shallow.filters], target.state.memory.shallow.compression
    for index in (1, 2):  # TEST.LEARN.INTERVAL is 2
        (target,) = tracker.track([target], [SEQUENCES[0].frames[index]])
        filters.append(target.state.memory.shallow.filters)
    assert torch.equal(filters[0], filters[1]) and not torch.equal(filters[1], filters[2])
    assert torch.equal(target.state.memory.shallow.compression, compression), "it is learned in the first frame alone"
    after = tracker.method.network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_samples_are_owned_and_bounded():
    tracker = micro.tracker("eco")
    (target,) = start(tracker, SEQUENCES[:1])
    learner = learner_of(target)
    first = [block.samples.count for block in learner.blocks]
    for _ in range(8):
        (target,) = tracker.track([target], [SEQUENCES[0].frames[0]])
    size = len(pickle.dumps(target))
    assert learner_of(target) is learner and first == [8, 8]
    assert [block.samples.count for block in learner.blocks] == [12, 12]
    for block, rate in zip(learner.blocks, (0.025, 0.0075), strict=True):
        weights = block.samples.weights
        assert weights.sum() == pytest.approx(1) and weights[block.samples._newest] == pytest.approx(rate, rel=0.1)
    for _ in range(4):
        (target,) = tracker.track([target], [SEQUENCES[0].frames[0]])
    assert len(pickle.dumps(target)) == size


def test_scale_stays_within_the_frame_and_follows_a_correction():
    tracker = micro.tracker("eco")
    (target,) = start(tracker, SEQUENCES[:1])
    (moved,) = tracker.correct([target], [np.array([20.0, 20, 2 * target.box[2], 2 * target.box[3]])])
    assert moved.state.settings.scale == pytest.approx(2 * target.state.settings.scale)
    (tiny,) = tracker.correct([target], [np.array([50.0, 50, 2, 2])])
    (tiny,) = tracker.track([tiny], [SEQUENCES[0].frames[1]])
    assert min(tiny.box[2:]) >= 10 - 1e-6


def test_the_score_map_shows_the_response_around_the_target():
    tracker, maps = micro.tracker("eco"), []
    (target,) = start(tracker, SEQUENCES[:1])
    tracker.track([target], [SEQUENCES[0].frames[0]], lambda targets, views, heats: maps.extend(heats))
    scores = maps[0].scores
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    assert abs(row - len(scores) / 2) < len(scores) / 8 and abs(column - len(scores) / 2) < len(scores) / 8
    assert scores.min() >= 0 and scores.max() <= 1


def test_published_files_and_bad_ones(tmp_path):
    model = micro.model("eco")
    public = {key.removeprefix("resnet."): value for key, value in model.state_dict().items()}
    public |= {"layer4.0.conv1.weight": torch.zeros(2), "fc.weight": torch.zeros(2, 2)}
    save_checkpoint(tmp_path / "resnet18_vggmconv1.pth", public)
    other = micro.model("eco", seed=1)
    load_state(other, load_weights(tmp_path / "resnet18_vggmconv1.pth"))
    assert all(torch.equal(a, b) for a, b in zip(other.state_dict().values(), model.state_dict().values(), strict=True))
    wide = build_model(load_config("eco", "eco"))
    assert "vggmconv1.weight: is [12, 3, 7, 7]" in message_of(load_state, wide, public, "x.pth")
    plain = {key: value for key, value in public.items() if not key.startswith("vggm")}
    assert "holds an unknown network, the configuration asks for eco" in message_of(load_state, model, plain, "x.pth")
    message = message_of(load_state, model, micro.model("rt_mdnet").state_dict(), "x.pth")
    assert message.startswith("x.pth: holds rt_mdnet, the configuration asks for eco")


def test_compiling_it_is_refused_in_one_line():
    with pytest.raises(InputError, match="--compile: nothing of this tracker can be compiled; leave the option out"):
        micro.tracker("eco", mode=Mode(compiled=True))


def test_training_it_is_refused_in_one_line(tmp_path):
    from lib.train.run import train

    with pytest.raises(InputError, match="eco has no offline training") as refused:
        train(micro.config("eco"), script="eco", config="eco", save_dir=tmp_path)
    assert "\n" not in str(refused.value) and not list(tmp_path.iterdir())
