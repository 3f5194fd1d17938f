"""What programs use: arrays of any camera in, targets out, the boxes of the commands."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_model import fake_tracker, follow_alone, moving_sequence
from trees import SYNTHETIC_SEQUENCE

import lib
from lib.api import Target, Tracker
from lib.core.errors import InputError
from lib.core.frame import Streams
from lib.datasets.array import Pixels, choose_pixels, complete
from lib.datasets.camera import keep_camera
from lib.test.demo.bundled import DEMO_SEQUENCE
from lib.test.evaluation import open as evaluation
from lib.test.video.pairing import open_sequence

ROOT = Path(__file__).parents[1]
BOX = (60, 50, 30, 20)


@pytest.fixture
def tracker(monkeypatch):
    monkeypatch.setattr(evaluation, "load_tracker", lambda cfg, checkpoint, device, mode: fake_tracker("cpu"))
    return Tracker("tiny", device="cpu")


@pytest.fixture
def colour_tracker(monkeypatch):
    """Of one camera."""
    monkeypatch.setattr(evaluation, "load_tracker", lambda *_: fake_tracker("cpu", modalities=1))
    return Tracker("tiny", device="cpu")


SEQUENCE = moving_sequence("a")
EXPECTED = follow_alone(fake_tracker(), SEQUENCE)


def test_one_target_gets_what_the_engine_gives(tracker):
    target = tracker.init(*SEQUENCE.frames[0], box=BOX)
    assert (target.score, target.age, target.found) == (1, 0, True)
    for index in range(1, len(SEQUENCE)):
        target = tracker.update(*SEQUENCE.frames[index])
        np.testing.assert_array_equal(target.box, EXPECTED[index])
    assert target.age == index and target.score == pytest.approx(0.9) and target.name == "target 0"
    assert repr(target).startswith("Target('target 0', box=(") and "found=True" in repr(target)


def test_channels_in_the_other_order_are_turned(tracker):
    turned = [[image[..., ::-1] for image in SEQUENCE.frames[index]] for index in range(3)]
    tracker.init(*turned[0], box=BOX, order="bgr")
    for index in (1, 2):
        np.testing.assert_array_equal(tracker.update(*turned[index]).box, EXPECTED[index])


def test_many_targets_and_many_videos(tracker):
    other = moving_sequence("b", step=(2, 4))
    pairs = [[tuple(one.frames[index]) for one in (SEQUENCE, other)] for index in range(4)]
    targets = tracker.start(pairs[0], [BOX, BOX], ["first", "second"])
    for index in (1, 2, 3):
        before, targets = targets, tracker.track(targets, pairs[index])
        assert [target.age for target in before] == [index - 1] * 2, "what goes in stays as it is"
    np.testing.assert_array_equal(targets[0].box, EXPECTED[3])
    np.testing.assert_array_equal(targets[1].box, follow_alone(fake_tracker(), other)[3])
    assert [target.name for target in targets] == ["first", "second"] and tracker.targets == []
    tracker.init_all(*pairs[0][0], boxes=[BOX, BOX], names=["first", "second"])
    assert [target.name for target in tracker.update_all(*pairs[1][0])] == ["first", "second"]
    with pytest.raises(InputError, match="2 targets are tracked; call update_all"):
        tracker.update(*pairs[2][0])


def test_a_pickled_target_goes_on_elsewhere(tracker):
    tracker.init(*SEQUENCE.frames[0], box=BOX)
    tracker.update(*SEQUENCE.frames[1])
    another = Tracker("tiny", device="cpu")
    another.targets = pickle.loads(pickle.dumps(tracker.targets))
    np.testing.assert_array_equal(another.update(*SEQUENCE.frames[2]).box, EXPECTED[2])


def test_follow_goes_through_files(tracker, tmp_path):
    frames = list(tracker.follow(DEMO_SEQUENCE / "visible", DEMO_SEQUENCE / "infrared", boxes=[BOX, BOX]))
    assert [frame.index for frame in frames] == list(range(60)) and len(frames[0].targets) == 2
    assert isinstance(frames[0].target, Target) and [image.shape for image in frames[0].images] == [(480, 640, 3)] * 2
    with pytest.raises(InputError, match="no target: give box="):
        next(tracker.follow(DEMO_SEQUENCE / "visible"))


def test_a_missing_camera_is_black_and_said_once(tracker, caplog):
    kept = keep_camera(SEQUENCE, "visible", 2)
    expected = follow_alone(fake_tracker(), kept)
    tracker.init(kept.frames[0][0], box=BOX)
    for index in (1, 2):
        np.testing.assert_array_equal(tracker.update(kept.frames[index][0], None).box, expected[index])
    assert caplog.text.count("no infrared image: the network is given a black one in its place") == 1


def test_a_network_of_one_camera_leaves_the_other_and_says_so_once(colour_tracker, caplog):
    colour_tracker.init(*SEQUENCE.frames[0], box=BOX)
    colour_tracker.update(*SEQUENCE.frames[1])
    assert colour_tracker.modalities == 1
    assert caplog.text.count("reads the visible image alone; the infrared one is left") == 1
    visible, infrared = SEQUENCE.frames[0]
    assert complete({"infrared": infrared}, Streams(1)) == ([infrared], [])


def test_sixteen_bits_have_one_scale_for_the_video(caplog):
    first = np.array([[7000, 7500], [8000, 9000]], np.uint16)
    pixels = choose_pixels({"infrared": first})
    assert "infrared: 16-bit values 7000 to 9000, those of the first frame, become 0 to 255" in caplog.text
    assert pixels.picture(first, "infrared")[..., 0].tolist() == [[0, 64], [128, 255]]
    later = pixels.picture(first + 500, "infrared")
    assert later[..., 0].tolist() == [[64, 128], [191, 255]] and later.shape == (2, 2, 3)
    caplog.clear()
    given = choose_pixels({"infrared": first}, thermal_range=(8000, 10000))
    assert given.picture(first, "infrared")[..., 1].tolist() == [[0, 0], [0, 128]] and not caplog.text
    even = choose_pixels({"infrared": np.full((2, 2), 5, np.uint16)})
    assert not even.picture(np.full((2, 2), 5, np.uint16), "infrared").any()
    assert pickle.loads(pickle.dumps(pixels)) == pixels


def test_grey_becomes_three_channels():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for array in (grey, grey[..., None]):
        assert (Pixels().picture(array, "infrared") == grey[..., None]).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4)), "visible: array of float64; expected"),
        (np.zeros((4, 4, 4), np.uint8), r"visible: array of shape \[4, 4, 4\]"),
        (np.zeros((0, 4, 3), np.uint8), r"visible: array of shape \[0, 4, 3\]"),
        (np.zeros(5, np.uint8), r"visible: array of shape \[5\]"),
        ("frame.png", r"visible: array of shape \[\]"),
        (np.zeros((90, 90, 3), np.uint8), "visible image is 90x90, infrared image is 240x180"),
        (None, "first box x=60 y=50 w=0 h=20 has no area"),
    ],
)
def test_unusable_images_and_boxes_are_one_line(tracker, array, message):
    visible, infrared = SEQUENCE.frames[0]
    box = BOX if array is not None else (60, 50, 0, 20)
    with pytest.raises(InputError, match=message) as error:
        tracker.init(visible if array is None else array, infrared, box=box)
    assert "\n" not in str(error.value)


def test_unusable_calls_are_one_line(tracker):
    visible, infrared = SEQUENCE.frames[0]
    for call, message in (
        (lambda: tracker.update(visible, infrared), "no target is tracked; call init with a box first"),
        (lambda: tracker.init(None, None, box=BOX), "no image: give a visible one"),
        (lambda: tracker.init(visible, infrared, box=(1, 2, 3)), r"box \(1, 2, 3\): expected four numbers"),
        (lambda: tracker.init(visible, infrared, box="here"), "box 'here': expected four numbers"),
        (lambda: tracker.init(visible, infrared, box=BOX, order="grb"), "order 'grb' is unknown"),
        (lambda: tracker.init(visible, infrared, box=BOX, thermal_range=(5, 5)), r"thermal_range \(5, 5\)"),
        (lambda: tracker.init_all(visible, boxes=[BOX], names=["a", "b"]), "1 frame, 1 box, 2 names"),
        (lambda: Tracker("tinny"), "model 'tinny' is unknown; did you mean tiny"),
        (lambda: Tracker("tiny", precision="fp8"), "precision 'fp8' is unknown"),
        (lambda: Tracker("iimf_track", "tinny"), "did you mean tiny"),
    ):
        with pytest.raises(InputError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
    tracker.init(visible, infrared, box=BOX)
    with pytest.raises(InputError, match="infrared: uint16, but the first frame was not"):
        tracker.update(visible, infrared.astype(np.uint16))


def test_the_shipped_model_follows_a_target_whose_boxes_are_exact():
    sequence, tracker = open_sequence(SYNTHETIC_SEQUENCE), Tracker("tiny", device="cpu")
    target = tracker.init(*sequence.frames[0], box=sequence.boxes[0])
    for index in range(1, 6):
        target = tracker.update(*sequence.frames[index])
    assert target.found and np.abs(target.box - sequence.boxes[5]).max() < 8


def test_the_package_offers_lazily():
    code = "import sys, lib; print('torch' in sys.modules, dir(lib)); lib.Tracker; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = done.stdout.splitlines()
    assert before.startswith("False") and "'Tracker'" in before and after == "True"
    assert lib.Tracker is Tracker
    with pytest.raises(AttributeError, match="no attribute 'Trakcer'"):
        _ = lib.Trakcer
