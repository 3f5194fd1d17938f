"""OpenCV's trackers as any other tracker, from Python and from the test command."""

import logging
import types

import cv2
import numpy as np
import pytest
from fake_model import moving_sequence

from lib.cli import test as test_command
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.test.evaluation.engine import follow
from lib.test.evaluation.open import load_tracker, open_run
from lib.test.results.dialect import read_result
from lib.test.tracker.opencv import OpenCVTracker
from lib.test.video.video import write_image

needs_mil = pytest.mark.skipif(not hasattr(cv2, "TrackerMIL"), reason="this OpenCV has no TrackerMIL")


def put(folder, sequence):
    """A sequence in LasHeR's layout."""
    for index in range(len(sequence)):
        for stream, image in zip(("visible", "infrared"), sequence.frames[index], strict=True):
            write_image(folder / sequence.name / stream / f"{index:06d}.png", image)
    for name in ("visible.txt", "infrared.txt", "init.txt"):
        np.savetxt(folder / sequence.name / name, sequence.boxes, fmt="%d", delimiter=",")


@needs_mil
@pytest.mark.parametrize("config", ["mil", "mil_infrared", "static"])
def test_the_test_command_follows_with_them(config, tmp_path):
    put(tmp_path / "data", moving_sequence("walk", 6, (4, 2)))
    words = ["opencv", config, "--dataset_name", "folder", "--data_dir", str(tmp_path / "data"), "--device", "cpu"]
    test_command.main([*words, "--out", str(tmp_path / "out")])
    boxes = read_result(tmp_path / "out" / "opencv" / config / "walk.txt")
    assert boxes.shape == (6, 4)
    if config == "static":
        assert np.ptp(boxes, axis=0).tolist() == [0, 0, 0, 0]
    else:
        assert np.ptp(boxes[:, :2]) > 0  # how far is chance: MIL's random generator cannot be seeded
    assert "# checkpoint: none" in (tmp_path / "out" / "opencv" / config / "config.yaml").read_text()


@pytest.mark.parametrize("stream", ["visible", "infrared", "both"])
def test_it_gives_opencv_the_pictures_of_its_stream_and_returns_its_boxes(stream):
    """Exact, which no test of MIL can be: its random generator cannot be seeded."""
    sequence, given = moving_sequence("walk", 3, (4, 2), colour=(10, 20, 30, 210, 220, 230)), []
    fake = types.SimpleNamespace(
        init=lambda image, box: given.append((image, box)),
        update=lambda image: (given.append((image, None)), (True, (9, 8, 7, 6)))[1],
    )
    boxes = []
    follow(OpenCVTracker(lambda: fake, stream), [sequence], lambda name, found, *rest: boxes.extend(found))
    assert [box for _, box in given] == [tuple(map(int, sequence.boxes[0])), None, None]
    assert np.array(boxes).tolist() == [sequence.boxes[0].tolist(), [9, 8, 7, 6], [9, 8, 7, 6]]
    for index, (image, _) in enumerate(given):
        visible, infrared = (picture.astype(float) for picture in sequence.frames[index])
        picture = {"visible": visible, "infrared": infrared, "both": (visible + infrared) / 2}[stream]
        np.testing.assert_allclose(image, picture[..., ::-1], rtol=0, atol=0.5 if stream == "both" else 0)


def test_lost_target_stays_where_it_was():
    answers = iter([(True, (5, 6, 7, 8)), (False, (0, 0, 0, 0))])
    fake = types.SimpleNamespace(init=lambda image, box: None, update=lambda image: next(answers))
    tracker, images = OpenCVTracker(lambda: fake, "visible"), [np.zeros((9, 9, 3), np.uint8)]
    (target,) = tracker.start([images], [np.array([1.4, 2, 3, 4])])
    (seen,) = tracker.track([target], [images])
    (lost,) = tracker.track([seen], [images])
    assert seen.box.tolist() == lost.box.tolist() == [5, 6, 7, 8]
    assert seen.found and seen.score == 1 and not lost.found and lost.score == 0


def test_an_opencv_without_the_tracker_and_missing_files_are_one_line(monkeypatch):
    with pytest.raises(InputError, match="MODEL.BACKBONE_FILE: file '' does not exist; give NanoTrackV2's ONNX file"):
        open_run("opencv", "nano").load()
    for name in ("TrackerMIL", "TrackerMIL_create"):
        monkeypatch.delattr(cv2, name, raising=False)
    with pytest.raises(InputError, match="TrackerMIL: OpenCV .* was built without it"):
        load_tracker(load_config("opencv", "mil"), None, "cpu")


def test_what_needs_a_network_refuses_them():
    with pytest.raises(InputError, match="opencv/mil: has no network of this toolbox"):
        open_run("opencv", "mil").load_method()


def test_corrections_are_refused():
    with pytest.raises(InputError, match="cannot go on from another box"):
        OpenCVTracker(lambda: None, "visible").correct([object()], [np.ones(4)])


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.ERROR)
