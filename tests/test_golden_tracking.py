"""The whole chain against the public code: crop, normalise, network, window, way back into the frame, clip."""

import golden
import numpy as np
import pytest

from lib.core.crop import sample_target
from lib.test.tracker import Tracker

FILES = sorted(path.stem for path in golden.DATA.glob("*_tracking.json"))


def frame(seed: int, modalities: int, height: int = 360, width: int = 480) -> list[np.ndarray]:
    """The recipe's picture: random cells of 20x20 pixels, one image per modality."""
    cells = np.random.default_rng(seed).integers(0, 256, (height // 20, width // 20, 3 * modalities), np.uint8)
    return np.split(cells.repeat(20, axis=0).repeat(20, axis=1), modalities, axis=2)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_eight_tracked_frames(file):
    expected = np.array(golden.read(file)["boxes_xywh"])
    model, cfg = golden.public_model(file.removesuffix("_tracking"))
    tracker = Tracker(model, cfg, "cpu")
    targets = tracker.start([frame(1000, model.modalities)], [expected[0]], [file])
    boxes = [targets[0].box]
    for seed in range(1001, 1000 + len(expected)):
        targets = tracker.track(targets, [frame(seed, model.modalities)])
        boxes.append(targets[0].box)
    assert len(boxes) == 9
    np.testing.assert_allclose(boxes, expected, rtol=0, atol=1e-4 * 480)


@pytest.mark.slow
def test_batch_of_targets_gets_the_boxes_that_each_gets_alone():
    model, cfg = golden.public_model("ostrack_ce")
    tracker = Tracker(model, cfg, "cpu")
    firsts = [np.array([200.0, 150.0, 60.0, 48.0]), np.array([40.0, 250.0, 30.0, 90.0])]
    frames = [frame(seed, model.modalities) for seed in (1000, 1001, 1002)]
    together = tracker.start([frames[0]] * 2, firsts)
    alone = [tracker.start([frames[0]], [box]) for box in firsts]
    for images in frames[1:]:
        together = tracker.track(together, [images] * 2)
        alone = [tracker.track(target, [images]) for target in alone]
        for one, (other,) in zip(together, alone, strict=True):
            np.testing.assert_allclose(one.box, other.box, rtol=0, atol=1e-4 * 480)


@pytest.mark.parametrize("crop", golden.read(FILES[0])["crops"], ids=lambda crop: str(crop["frame_seed"]))
def test_crops(crop):
    image = np.concatenate(frame(crop["frame_seed"], 2), axis=2)
    result = sample_target(image, np.array(crop["box_xywh"]), crop["factor"], crop["size"])
    assert result.scale == pytest.approx(crop["resize_factor"], rel=1e-9)
    values = result.image.flatten()[crop["index"]].astype(int)
    assert np.abs(values - crop["value"]).max() <= 1
    assert result.image.mean() == pytest.approx(crop["mean"], abs=0.1)


def test_golden_files_are_there():
    assert {"iimf_sot_tracking", "ostrack_ce_tracking", "tbsi_in1k_tracking"} <= set(FILES)
