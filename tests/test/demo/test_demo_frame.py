"""Tracking frame by frame: targets, score maps, the window and its keys."""

from pathlib import Path

import cv2
import micro
import numpy as np
import pytest
from fake_model import fake_tracker, moving_sequence
from trees import SYNTHETIC_SEQUENCE

from lib.core.config import load_config
from lib.core.errors import InputError
from lib.datasets.readers.folder import read_folder
from lib.test.demo import window as screen
from lib.test.demo.boxes import first_boxes
from lib.test.demo.demo_frame import start_targets, track_frame
from lib.test.demo.video_run import DemoVideo, VideoOptions, track_video
from lib.test.demo.window import Window
from lib.test.evaluation.open import load_tracker

ROOT = Path(__file__).parents[3]


def test_score_maps_cover_the_search_regions_and_change_nothing():
    sequence = moving_sequence("heat")
    tracker = micro.tracker("iimf_track")
    boxes = {1: sequence.boxes[0], 3: sequence.boxes[0] + [10, 5, 4, 0]}
    first = track_frame(tracker, {}, sequence.frames[0], boxes, name="heat", heat=True)
    assert not first.heats and first.given == {1, 3}
    hot = track_frame(tracker, first.targets, sequence.frames[1], {}, name="heat", heat=True)
    cold = track_frame(tracker, first.targets, sequence.frames[1], {}, name="heat")
    assert not cold.heats and list(hot.heats) == [1, 3]
    for number, heat in hot.heats.items():
        assert hot.targets[number].box.tolist() == cold.targets[number].box.tolist()
        assert heat.scores.shape == (4, 4)
        x, y, w, h = boxes[number]
        side = np.ceil(np.sqrt(w * h) * micro.config("iimf_track").TEST.SEARCH_FACTOR)
        cell = side / 4  # the first one stands for the region's corner
        corner = np.array([x + w / 2 - side / 2 - cell / 2, y + h / 2 - side / 2 - cell / 2])
        np.testing.assert_allclose(heat.region, [*corner, side, side], atol=1e-9)


def test_the_map_peaks_where_the_box_is():
    """Not half a cell beside it, which is about ten pixels here."""
    (demo,) = read_folder(SYNTHETIC_SEQUENCE)
    cfg = load_config("iimf_track", "tiny")
    tracker = load_tracker(cfg, ROOT / "pretrained_models" / "iimf_tiny.safetensors", "cpu")
    targets, offsets = track_frame(tracker, {}, demo.frames[0], {1: demo.boxes[0]}, name="demo").targets, []
    for index in range(1, 16):
        frame = track_frame(tracker, targets, demo.frames[index], {}, name="demo", heat=True)
        (scores, (x, y, w, h)), box = frame.heats[1], frame.targets[1].box
        row, column = np.unravel_index(scores.argmax(), scores.shape)
        cell = np.array([w, h]) / scores.shape[0]
        peak = np.array([x, y]) + (np.array([column, row]) + 0.5) * cell
        offsets.append((box[:2] + box[2:] / 2 - peak) / cell)
        targets = frame.targets
    assert (np.abs(np.mean(offsets, axis=0)) < 0.2).all()


def test_a_corrected_target_starts_anew_and_the_others_go_on():
    sequence = moving_sequence("redo")
    tracker = fake_tracker()
    boxes = {1: sequence.boxes[0], 2: sequence.boxes[0]}
    before = track_frame(tracker, {}, sequence.frames[0], boxes, name="redo").targets
    after = track_frame(tracker, before, sequence.frames[1], {1: np.array([5.0, 5, 20, 20])}, name="redo")
    assert after.targets[1].box.tolist() == [5, 5, 20, 20] and after.given == {1}
    np.testing.assert_allclose(after.targets[2].box, sequence.boxes[1], atol=1.5)
    assert before[1].box.tolist() == sequence.boxes[0].tolist()


def test_a_box_drawn_in_a_tracked_frame_leaves_the_other_targets_as_they_are():
    """They are not tracked in that frame again: what a tracker learns there, it learns once."""
    sequence, tracker = moving_sequence("redo"), fake_tracker()
    boxes = {1: sequence.boxes[0], 2: sequence.boxes[0]}
    before = track_frame(tracker, {}, sequence.frames[0], boxes, name="redo").targets
    tracked = track_frame(tracker, before, sequence.frames[1], {}, name="redo")
    calls = len(tracker.method.network.calls)
    drawn = start_targets(tracker, tracked, {1: np.array([5.0, 5, 20, 20])}, name="redo")
    assert drawn.targets[2] is tracked.targets[2] and len(tracker.method.network.calls) == calls
    assert drawn.targets[1].box.tolist() == [5, 5, 20, 20] and drawn.given == {1}


def test_a_frame_without_targets_is_only_shown():
    assert track_frame(fake_tracker(), {}, moving_sequence("none").frames[0], {}, name="none").targets == {}


@pytest.fixture
def keyboard(monkeypatch):
    """A window that gets the given keys, frame by frame, and draws the same box each time."""
    shown = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
    for name in ("namedWindow", "destroyWindow"):
        monkeypatch.setattr(cv2, name, lambda title: None)
    monkeypatch.setattr(cv2, "selectROI", lambda *arguments, **options: (80, 62, 30, 20))

    def press(keys):
        coming = iter(keys)
        monkeypatch.setattr(cv2, "waitKey", lambda delay: ord(next(coming, "_")))
        return Window()

    return press, shown


def run(tmp_path, window, length=6):
    sequence = moving_sequence("keys", length=length)
    options = VideoOptions(first_boxes(sequence.boxes[:1]))
    return track_video(fake_tracker(), DemoVideo.from_sequence(sequence, 25.0), tmp_path, options, window=window)


def test_keys_redo_a_box_and_add_a_target(keyboard, tmp_path):
    press, shown = keyboard
    result = run(tmp_path, press("__1_n__"))
    assert [(row.frame, row.target) for row in result.rows if row.given] == [(1, 1), (3, 1), (4, 2)]
    assert next(row.box.tolist() for row in result.rows if row.frame == 3) == [80, 62, 30, 20]
    assert len(shown) == 8  # a corrected frame is shown again


def test_keys_pause_and_end(keyboard, tmp_path):
    press, _ = keyboard
    result = run(tmp_path, press("_ __ q"))  # paused in frame 2, on after three keys
    assert len(result.seconds) == 3


def test_a_key_shows_score_maps(keyboard):
    press, _ = keyboard
    window = press("h_")
    assert not window.heat
    for _ in range(2):
        window.show(np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20, 3), np.uint8), [1])
    assert window.heat


def test_without_a_screen_there_is_no_window(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match="--window: there is no screen here"):
        Window()
    assert "space" in screen.KEYS


def test_an_opencv_without_windows_is_one_line(monkeypatch):
    def refuse(title):
        raise cv2.error("The function is not implemented")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "namedWindow", refuse)
    with pytest.raises(InputError, match="^--window: this OpenCV cannot open a window"):
        Window()
