"""RT-MDNet: draws, RoIAlign, what is learned and kept, and how it follows targets."""

import pickle
from dataclasses import replace

import micro
import numpy as np
import pytest
import torch
from compare import message_of
from fake_model import follow_alone, moving_sequence

from lib.core.checkpoint import load_weights, save_checkpoint
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.layers.roi_align import place_adaptive_samples, place_samples, roi_align
from lib.models import build_model
from lib.models.online.box_regression import fit_regressor, predict_changes
from lib.models.online.mdnet_boxes import Spread, draw_boxes, draw_examples, overlaps_with, seeded
from lib.models.weights import load_state

VARIANT = "rt_mdnet"
SEQUENCES = [
    moving_sequence("right", step=(6, 0)),
    moving_sequence("left", step=(-5, 2), colour=(10, 250, 90, 9, 9, 9)),
]


def start(tracker, sequences=SEQUENCES):
    return tracker.start([s.frames[0] for s in sequences], [s.boxes[0] for s in sequences], [s.name for s in sequences])


def learner_of(target):
    return target.state.memory.learner.items[0]


def test_draws_depend_on_seed_name_age_and_purpose_alone():
    box, spread = np.array([20.0, 30, 24, 16]), Spread("gaussian", 0.6, 1.05, whole=True)
    first = draw_boxes(seeded(1, 2, 3, 4), box, 50, spread, (100, 120))
    assert np.array_equal(first, draw_boxes(seeded(1, 2, 3, 4), box, 50, spread, (100, 120)))
    for other in ((2, 2, 3, 4), (1, 3, 3, 4), (1, 2, 4, 4), (1, 2, 3, 5)):
        assert not np.array_equal(first, draw_boxes(seeded(*other), box, 50, spread, (100, 120)))
    middle = first[:, :2] + first[:, 2:] / 2 - (box[:2] + box[2:] / 2)
    assert np.abs(middle).max() <= 0.6 * 20 + 1e-4
    assert 0.15 < (middle / (0.6 * 20)).std() < 0.6, "half a normal draw"
    assert np.ptp(first[:, 2] / first[:, 3]) < 1e-5, "candidates keep the shape"


def test_drawn_boxes_stay_in_the_frame_or_their_centres_do():
    box = np.array([90.0, 70, 40, 40])
    whole = draw_boxes(seeded(0, 0, 0, 0), box, 200, Spread("uniform", 2, 2, 1.5, whole=True), (100, 120))
    assert (whole[:, :2] >= -1e-3).all() and (whole[:, :2] + whole[:, 2:] <= [119.001, 99.001]).all()
    free = draw_boxes(seeded(0, 0, 0, 0), box, 200, Spread("uniform", 2, 2), (100, 120))
    centre = free[:, :2] + free[:, 2:] / 2
    assert (centre >= 0).all() and (centre <= [120, 100]).all() and (free[:, :2] + free[:, 2:]).max() > 120


def test_examples_keep_their_overlap_and_there_may_be_none():
    box = np.array([40.0, 40, 30, 20])
    good = draw_examples(seeded(0, 0, 0, 0), box, 60, Spread("gaussian", 0.1, 1.2), (120, 160), overlaps=(0.7, 1))
    assert len(good) == 60 and overlaps_with(good, box).min() >= 0.7
    far = draw_examples(seeded(0, 0, 0, 0), box, 60, Spread("gaussian", 0.1, 1.0), (120, 160), overlaps=(0, 0.1))
    assert far.shape == (0, 4)


def test_plain_samples_by_hand():
    where = place_samples(torch.tensor([1.0, -3.0]), torch.tensor([6.0, 14.0]), 7, 10)
    torch.testing.assert_close(where.low[0] + where.share[0], torch.arange(1, 8).float())
    assert where.inside[1].tolist() == [False, True, True, True, True, False, False]
    features = torch.arange(100.0).view(1, 1, 10, 10)
    found = roi_align(features, torch.tensor([[1.5, 2.0, 6.5, 7.0]]), 1.0)
    expected = features[0, 0, 2:9, 1:8] + 0.5
    torch.testing.assert_close(found[0, 0], expected)


def test_adaptive_samples_read_pixels_as_far_apart_as_a_bin_is_wide():
    where = place_adaptive_samples(torch.tensor([2.0, 0.0]), torch.tensor([22.0, 6.0]), 7, 40)
    assert ((where.high - where.low)[0] == 3).all() and ((where.high - where.low)[1] == 1).all()
    place = where.low + where.share * (where.high - where.low)
    torch.testing.assert_close(place[0], 2 + 3 * (torch.arange(7) + 0.5) - 0.5)
    torch.testing.assert_close(place[1], torch.arange(7.0))
    assert where.share[0].min() > 0.2 and where.share[0].max() < 0.8, "even about the sample"


def test_ridge_is_the_minimum_of_its_loss():
    random = torch.Generator().manual_seed(0)
    boxes = torch.tensor([30.0, 30, 20, 20]) + 2 * torch.rand(40, 4, generator=random)
    features, truth = torch.randn(40, 6, generator=random), torch.tensor([31.0, 31.0, 19.5, 19.0])
    found = fit_regressor(features, boxes, truth, 5.0)
    weight, intercept = (part.double().requires_grad_() for part in found)
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    change = torch.cat([(truth[:2] + truth[2:] / 2 - centre) / boxes[:, 2:], (truth[2:] / boxes[:, 2:]).log()], 1)
    loss = (features.double() @ weight.T + intercept - change).square().sum() + 5 * weight.square().sum()
    loss.backward()
    assert weight.grad.abs().max() < 1e-4 and intercept.grad.abs().max() < 1e-4
    assert predict_changes(found, features).shape == (40, 4)
    assert fit_regressor(features, boxes + 100, truth, 5.0) is None


@pytest.mark.parametrize("variant", ["rt_mdnet", "rt_mdnet-adaptive"])
def test_a_target_gets_the_same_boxes_alone_and_among_others(variant):
    tracker = micro.tracker(variant)
    alone = [follow_alone(tracker, sequence) for sequence in SEQUENCES]
    targets = start(tracker)
    for index in range(1, len(SEQUENCES[0].boxes)):
        targets = tracker.track(targets, [s.frames[index] for s in SEQUENCES])
        for target, boxes in zip(targets, alone, strict=True):
            np.testing.assert_array_equal(target.box, boxes[index])
            assert 0 < target.score < 1
    assert len({learner_of(target) for target in targets}) == 2


def test_a_pickled_target_goes_on_as_it_would_have():
    tracker = micro.tracker(VARIANT)
    targets = tracker.track(start(tracker), [s.frames[1] for s in SEQUENCES])
    thawed = pickle.loads(pickle.dumps(targets))
    for index in (2, 3):
        frames = [s.frames[index] for s in SEQUENCES]
        targets, thawed = tracker.track(targets, frames), tracker.track(thawed, frames)
        for one, other in zip(targets, thawed, strict=True):
            np.testing.assert_array_equal(one.box, other.box)


def test_weights_learn_while_tracking_and_the_network_does_not_change():
    tracker = micro.tracker(VARIANT, "TEST.SUCCESS=-100")  # always found
    before = {key: value.clone() for key, value in tracker.method.network.state_dict().items()}
    (target,) = start(tracker, SEQUENCES[:1])
    weights = [learner_of(target).weights]
    for index in (1, 2):  # TEST.UPDATE.INTERVAL is 2
        (target,) = tracker.track([target], [SEQUENCES[0].frames[index]])
        weights.append(learner_of(target).weights)
    assert weights[0] is weights[1] and all(not torch.equal(a, b) for a, b in zip(weights[1], weights[2], strict=True))
    assert not any(part.requires_grad for part in weights[2])
    after = tracker.method.network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert target.found and learner_of(target).regressor is not None


def test_a_lost_target_learns_from_its_last_frames_and_is_looked_for_farther_away():
    tracker = micro.tracker(VARIANT, "TEST.SUCCESS=30")  # never found
    (target,) = start(tracker, SEQUENCES[:1])
    first, kept = learner_of(target).weights, len(learner_of(target).positive)
    (lost,) = tracker.track([target], [SEQUENCES[0].frames[1]])
    assert not lost.found and 0 < lost.score < 0.5 and learner_of(lost).weights is not first
    assert len(learner_of(lost).positive) == kept == 1, "nothing is collected where the target was lost"
    frame = (120, 160)
    spread = [np.ptp(tracker.method.draw_candidates(one, frame)[:, 0]) for one in (replace(lost, found=True), lost)]
    assert spread[1] > 1.5 * spread[0]


def test_memory_is_bounded():
    tracker = micro.tracker(VARIANT, "TEST.SUCCESS=-100")
    (target,) = start(tracker, SEQUENCES[:1])
    for _ in range(6):
        (target,) = tracker.track([target], [SEQUENCES[0].frames[0]])
    learner, size = learner_of(target), len(pickle.dumps(target))
    assert (len(learner.positive), len(learner.negative)) == (3, 2)
    for _ in range(4):
        (target,) = tracker.track([target], [SEQUENCES[0].frames[0]])
    assert len(pickle.dumps(target)) <= size


def test_learning_finds_a_target_again_that_an_unlearned_classifier_does_not_find():
    """A bright square on a dark background, random features: what is learned from the first frame decides."""
    tracker = micro.tracker(VARIANT, "TEST.FIRST.ITERATIONS=60", "TEST.FIRST.LR=0.003", "TEST.CANDIDATES=200")
    jump = moving_sequence("jump", step=(12, 6))
    (target,) = tracker.start([jump.frames[0]], [jump.boxes[0]], ["jump"])
    (moved,) = tracker.track([target], [jump.frames[1]])
    from lib.models.online.mdnet_boxes import overlaps_with

    assert overlaps_with(moved.box[None], jump.boxes[1])[0] > overlaps_with(target.box[None], jump.boxes[1])[0] + 0.1


def test_a_corrected_target_is_looked_for_around_the_other_box():
    tracker = micro.tracker(VARIANT)
    (target,) = start(tracker, SEQUENCES[:1])
    (moved,) = tracker.correct([target], [np.array([70.0, 50, 30, 30])])
    drawn = tracker.method.draw_candidates(moved, (120, 160))
    assert abs(np.median(drawn[:, 0] + drawn[:, 2] / 2) - 85) < 5 and learner_of(moved) is learner_of(target)


def test_published_files_and_bad_ones(tmp_path):
    model = micro.model(VARIANT)
    shared = {key.removeprefix("layers."): value for key, value in model.state_dict().items()}
    save_checkpoint(tmp_path / "rt-mdnet.pth", {"shared_layers": shared})
    other = micro.model(VARIANT, seed=1)
    load_state(other, load_weights(tmp_path / "rt-mdnet.pth"))
    assert all(torch.equal(a, b) for a, b in zip(other.state_dict().values(), model.state_dict().values(), strict=True))
    load_state(other, {**model.state_dict(), "branches.0.1.weight": torch.zeros(2, 32)})  # a branch of no target
    wide = build_model(load_config("rt_mdnet", "rt_mdnet"))
    assert "layers.conv1.0.weight: is [6, 3, 7, 7]" in message_of(load_state, wide, shared, "x.pth")
    assert "lacks layers.fc5.1.bias" in message_of(
        load_state, model, {key: value for key, value in shared.items() if key != "fc5.1.bias"}, "x.pth"
    )
    message = message_of(load_state, model, micro.model("ostrack").state_dict(), "x.pth")
    assert message.startswith("x.pth: holds ostrack, the configuration asks for rt_mdnet")


def test_training_it_is_refused_in_one_line(tmp_path):
    from lib.train.run import train

    with pytest.raises(InputError, match="rt_mdnet has no offline training") as refused:
        train(micro.config(VARIANT), script="rt_mdnet", config="rt_mdnet", save_dir=tmp_path)
    assert "\n" not in str(refused.value) and not list(tmp_path.iterdir())
