"""Alpha-Refine on trackers that learn while they track: they go on from refined boxes, and learn from their own."""

import micro
import numpy as np
import pytest
from fake_model import follow_alone, moving_sequence

from lib.models import build_method
from lib.test.tracker.crop_tracker import CropTracker
from lib.test.tracker.forward_pass import EXACT
from lib.test.tracker.refined import Refined
from lib.test.tracker.refiner import CropRefiner

SEQUENCES = [moving_sequence("right", 4, (4, 0)), moving_sequence("left", 4, (-3, 2))]


def refined(variant):
    method = build_method(micro.model("alpha_refine"), micro.config("alpha_refine"))
    return Refined(micro.tracker(variant), CropRefiner(CropTracker(method, "cpu", EXACT), method))


@pytest.mark.parametrize("variant", ["rt_mdnet", "eco"])
def test_refined_batched_is_alone(variant):
    tracker = refined(variant)
    alone = [follow_alone(tracker, sequence) for sequence in SEQUENCES]
    targets = tracker.start(
        [s.frames[0] for s in SEQUENCES], [s.boxes[0] for s in SEQUENCES], [s.name for s in SEQUENCES]
    )
    for index in (1, 2, 3):
        targets = tracker.track(targets, [s.frames[index] for s in SEQUENCES])
        for target, boxes in zip(targets, alone, strict=True):
            np.testing.assert_allclose(target.box, boxes[index], atol=1e-2)


def test_rt_mdnet_draws_its_candidates_around_the_refined_box():
    tracker = refined("rt_mdnet")
    (target,) = tracker.start([SEQUENCES[0].frames[0]], [SEQUENCES[0].boxes[0]], ["right"])
    (moved,) = tracker.track([target], [SEQUENCES[0].frames[1]])
    base = moved.state.base
    np.testing.assert_allclose(base.state.settings.box, base.box)
    (plain,) = tracker.base.track(
        tracker.base.start([SEQUENCES[0].frames[0]], [SEQUENCES[0].boxes[0]], ["right"]), [SEQUENCES[0].frames[1]]
    )
    assert np.abs(plain.box - base.box).max() > 0.5, "the refiner moved it"
    own, other = (one.state.memory.learner.items[0] for one in (base, plain))
    for kept, expected in zip(own.positive, other.positive, strict=True):
        assert kept.equal(expected), "samples are those of its own box"


def test_eco_takes_its_scale_from_the_area_of_the_refined_box():
    tracker = refined("eco")
    (target,) = tracker.start([SEQUENCES[0].frames[0]], [SEQUENCES[0].boxes[0]], ["right"])
    (moved,) = tracker.track([target], [SEQUENCES[0].frames[1]])
    settings = moved.state.base.state.settings
    area = np.prod(moved.state.base.box[2:])
    assert np.prod(settings.base * settings.scale) == pytest.approx(area)
