"""Video files as people have them: damaged, of 16 bit, without times, with rates that cannot be."""

import pickle

import cv2
import numpy as np
import pytest
from films import SIZE, damage, packets, put_avi, put_deep_video, put_gif

from lib.core.errors import InputError
from lib.datasets import depth
from lib.datasets.times import file_clock
from lib.test.video.pairing import open_frames, recorded_rate
from lib.test.video.video import PageFrames, VideoFrames, open_source, read_clock


def levels_of(frames):
    return [round(float(frames[index][0].mean())) for index in range(len(frames))]


def test_a_damaged_packet_keeps_its_place_and_is_said(tmp_path, caplog):
    whole = levels_of(VideoFrames(put_avi(tmp_path / "film.avi", list(range(10, 210, 10)))))
    video = VideoFrames(damage(tmp_path / "film.avi", [4, 5, 11]))
    assert len(video) == 20 and "film.avi: 3 of 20 frames are damaged, the first is frame 5" in caplog.text
    expected = [whole[3] if k in (4, 5) else whole[10] if k == 11 else whole[k] for k in range(20)]
    for frames in (video, pickle.loads(pickle.dumps(video))):
        assert levels_of(frames) == expected
        assert [round(float(frames[k][0].mean())) for k in (5, 3, 12, 4)] == [expected[k] for k in (5, 3, 12, 4)]
    np.testing.assert_allclose(video.clock.times, np.arange(20) / 10, atol=0.06)


def test_a_video_that_begins_with_damage(tmp_path):
    whole = levels_of(VideoFrames(put_avi(tmp_path / "film.avi", list(range(10, 110, 10)))))
    video = VideoFrames(damage(put_avi(tmp_path / "cut.avi", list(range(10, 110, 10))), [0, 1]))
    assert levels_of(video) == [whole[2]] * 2 + whole[2:]
    np.testing.assert_allclose(video.clock.times, np.arange(10) / 10, atol=0.06)
    pairs = open_frames(tmp_path / "cut.avi", tmp_path / "film.avi").pairs
    assert pairs.first.tolist() == pairs.second.tolist() == list(range(10))


def test_a_video_that_is_cut_off_says_so(tmp_path, caplog):
    content = put_avi(tmp_path / "film.avi", list(range(10, 210, 10))).read_bytes()
    (tmp_path / "film.avi").write_bytes(content[: packets(content)[10][0] - 8])
    length = len(open_source(tmp_path / "film.avi"))
    assert 9 <= length <= 10 and f"film.avi: declares 20 frames, {length} can be read" in caplog.text


def test_a_gif_without_delays_has_all_its_frames(tmp_path, caplog):
    frames = open_source(put_gif(tmp_path / "film.gif", [10, 20, 30, 40, 50, 60]))
    assert isinstance(frames, PageFrames) and levels_of(frames) == [20, 40, 60, 80, 100, 120]
    assert frames[0][0].shape == (*SIZE, 3) and recorded_rate(frames) == 25
    timed = open_source(put_gif(tmp_path / "timed.gif", [10, 20, 30, 40], [10, 10, 100, 10]))
    np.testing.assert_allclose(timed.clock.times, [0, 0.1, 0.2, 1.2], atol=1e-6)
    assert not caplog.text or "declares" not in caplog.text


@pytest.mark.parametrize("keep", [1, 0.5])
def test_a_gif_that_cannot_be_read_is_one_line(tmp_path, monkeypatch, keep):
    path = put_gif(tmp_path / "film.gif", [10, 20, 30])
    monkeypatch.setattr(cv2, "imreadmulti", lambda name: (False, ()))
    with pytest.raises(InputError, match=r"film\.gif: the frames of this GIF have no delays; convert it to mp4"):
        open_source(path)


def test_a_video_of_16_bit_has_one_range(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(depth, "_found", {})
    ramp = np.linspace(-0.2, 1.2, 64 * 48).reshape(48, 64).clip(0, 1)
    frames = np.stack([29315 + 1500 * np.roll(ramp, 7 * k, axis=1) for k in range(8)]).round().astype(np.uint16)
    video = VideoFrames(put_deep_video(tmp_path / "raw.mkv", frames))
    if video.read_stored(0).dtype == np.uint8:
        pytest.skip("this OpenCV reads 16-bit videos as 8 bit")
    expected = np.stack([np.roll(255 * ramp, 7 * k, axis=1) for k in range(8)])
    for index in (3, 0, 1, 7):
        assert np.abs(video[index][0][..., 2] - expected[index]).max() <= 2
    assert caplog.text.count("raw.mkv: 16-bit values 29") == 1


def test_rates_that_cannot_be_are_distrusted_and_said(tmp_path, caplog):
    times = np.arange(20) / 25
    assert file_clock(times, 25.0, tmp_path).rate == 25 and not caplog.text
    assert file_clock(np.round(times, 2), 29.97, tmp_path).rate == pytest.approx(25) and not caplog.text
    assert file_clock(times, 90000.0, tmp_path).rate == pytest.approx(25)
    assert "says 90000 frames/s, but its frames come at 25; their own times are used" in caplog.text
    for wrong in (0.0, float("nan"), -1.0):
        assert file_clock(times, wrong, tmp_path).rate == pytest.approx(25)
    caplog.clear()
    assert file_clock(np.arange(20) / 90000, 90000.0, tmp_path) is None
    assert "90000 frames/s, which cannot be" in caplog.text and "--fps tells the rate" in caplog.text
    assert file_clock(np.zeros(20), 30.0, tmp_path).times[-1] == pytest.approx(19 / 30)


def test_the_user_tells_the_rate_of_a_video_with_a_wrong_header(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.test.video.video.file_clock", lambda *known: None)
    video = VideoFrames(put_avi(tmp_path / "film.avi", list(range(20))))
    assert read_clock(video).rate == 25 and read_clock(video, 5.0).times[1] == 0.2
    pairs = open_frames(tmp_path / "film.avi", tmp_path / "film.avi", fps=(5.0, 10.0)).pairs
    assert pairs.second.tolist() == list(range(0, 20, 2))
