"""The whole chain against the public code: crop, normalise, network, window, way back into the frame, clip."""

import golden
import numpy as np
import pytest

from lib.models import build_method
from lib.test.tracker.crop_tracker import CropTracker


@pytest.mark.slow
@pytest.mark.parametrize("file", golden.TRACKING)
def test_eight_tracked_frames(file):
    expected = np.array(golden.read(file)["boxes_xywh"])
    model, cfg = golden.public_model(file.removesuffix("_tracking"))
    tracker = CropTracker(build_method(model, cfg), "cpu")
    targets = tracker.start([golden.frame(1000, model.modalities)], [expected[0]], [file])
    boxes = [targets[0].box]
    for seed in range(1001, 1000 + len(expected)):
        targets = tracker.track(targets, [golden.frame(seed, model.modalities)])
        boxes.append(targets[0].box)
    assert len(boxes) == 9
    np.testing.assert_allclose(boxes, expected, rtol=0, atol=1e-4 * 480)


@pytest.mark.slow
def test_batch_of_targets_gets_the_boxes_that_each_gets_alone():
    model, cfg = golden.public_model("ostrack_ce")
    tracker = CropTracker(build_method(model, cfg), "cpu")
    firsts = [np.array([200.0, 150.0, 60.0, 48.0]), np.array([40.0, 250.0, 30.0, 90.0])]
    frames = [golden.frame(seed, model.modalities) for seed in (1000, 1001, 1002)]
    together = tracker.start([frames[0]] * 2, firsts)
    alone = [tracker.start([frames[0]], [box]) for box in firsts]
    for images in frames[1:]:
        together = tracker.track(together, [images] * 2)
        alone = [tracker.track(target, [images]) for target in alone]
        for one, (other,) in zip(together, alone, strict=True):
            np.testing.assert_allclose(one.box, other.box, rtol=0, atol=1e-4 * 480)


def test_golden_files_are_there():
    assert {"iimf_sot_tracking", "ostrack_ce_tracking", "tbsi_in1k_tracking"} <= set(golden.TRACKING)
