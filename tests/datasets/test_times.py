"""Which frames of two recordings belong together, by their own times."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from films import put_gif
from trees import put_images

from lib.cli import track
from lib.datasets.times import ASSUMED, STAMPS, Clock, even_clock, stamp_clock
from lib.test.video.pairing import open_frames, pair_by_time, recorded_rate

NAMES = ("v", "i")


def pair(one, two):
    return pair_by_time((one, two), NAMES)


def as_clock(times, rate, source=""):
    return Clock(np.array(times, float), rate, source)


def test_videos_with_pauses_are_paired_by_the_times_of_their_frames(tmp_path, caplog):
    visible = put_gif(tmp_path / "v.gif", list(range(20, 30)), [10] * 10)
    infrared = put_gif(tmp_path / "i.gif", list(range(60, 66)), [10, 10, 40, 10, 10, 10])  # at 0, 1, 2, 6, 7, 8
    frames = open_frames(visible, infrared)
    assert frames.pairs.second.tolist() == [0, 1, 2, 2, 2, 3, 3, 4, 5]
    assert "v.gif and" in caplog.text and "nearest in time, at most 0.2 s from it" in caplog.text
    assert [round(image.mean() / 2) for image in frames[8]] == [28, 65] and recorded_rate(frames) == 10


def test_the_same_pauses_in_both_are_no_difference(caplog):
    times = [0, 0.1, 0.2, 3.2, 3.3]
    pairs = pair(as_clock(times, 10), as_clock(np.add(times, 0.02) - 0.02, 10))
    assert pairs.first.tolist() == pairs.second.tolist() == [0, 1, 2, 3, 4] and not caplog.text


def test_every_frame_gets_the_nearest(caplog):
    rng = np.random.default_rng(0)
    for _ in range(30):
        one, two = (np.cumsum(rng.exponential(0.1, rng.integers(2, 40))) for _ in range(2))
        one, two = one - one[0], two - two[0]
        clocks = as_clock(one, 1 / np.median(np.diff(one))), as_clock(two, 1 / np.median(np.diff(two)))
        pairs = pair(*clocks)
        distance = np.abs(one[pairs.first] - two[pairs.second])
        if "times of their own" in caplog.text:
            np.testing.assert_array_equal(distance, np.abs(one[pairs.first, None] - two).min(1))
            assert distance.max() == pairs.farthest
        caplog.clear()


def test_constant_rates_as_before(caplog):
    pairs = pair(even_clock(10, 30.0), even_clock(4, 10.0))
    assert (
        pairs.second.tolist() == [round(k / 3) for k in range(10)] and "v runs at 30 frames/s, i at 10" in caplog.text
    )
    caplog.clear()
    pairs = pair(even_clock(500, 25.0), even_clock(500, 25.2))
    assert np.array_equal(pairs.first, pairs.second) and not caplog.text
    pair(even_clock(50, 30.0), even_clock(42))
    assert "i at 25 (assumed; --fps tells it)" in caplog.text


@pytest.mark.parametrize(
    ("write", "rate"),
    [
        (lambda t: f"{1689857632 + t:.2f}.jpg", 10),
        (lambda t: f"v{1689857632000 + round(1000 * t)}.png", 10),
        (lambda t: f"cam_{1689857632000000 + round(1e6 * t)}.png", 10),
        (lambda t: f"{1689857632 + int(t)}_{round(t % 1 * 1e6):06d}.png", 10),
        (lambda t: f"{moment(t):%Y-%m-%dT%H-%M-%S}.{round(t % 1 * 1e3):03d}.jpg", 10),
        (lambda t: f"{moment(t):%Y%m%d_%H%M%S}_{round(t % 1 * 1e3):03d}.jpg", 10),
        (lambda t: f"{moment(10 * t):%Y-%m-%d %H-%M-%S}.jpg", 1),
        (lambda t: f"{moment(10 * t):%H-%M-%S}.jpg", 1),
    ],
)
def test_names_that_are_times(write, rate):
    clock = stamp_clock([write(k / 10) for k in (0, 1, 2, 3, 4, 9, 10, 11)])
    assert clock.source == STAMPS and clock.rate == pytest.approx(rate, rel=1e-3)
    np.testing.assert_allclose(np.diff(clock.times) * rate, [1, 1, 1, 1, 5, 1, 1], atol=1e-3)


def moment(seconds):
    return datetime(2023, 7, 20, 10, 59, 56, tzinfo=timezone.utc) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "names",
    [
        ["0001.jpg", "0002.jpg"],
        ["v000000.jpg", "v000001.jpg"],
        ["20230720_105956_1.jpg", "20230720_105956_12.jpg"],
        ["1689857632.01.jpg", "1689857631.93.jpg"],
        ["1689857632.01.jpg", "2.jpg"],
        ["2023-02-31T10-59-56.jpg", "2023-02-31T10-59-57.jpg"],
        ["10-59-56.jpg", "10-59-56.png"],
        ["1689857632.01.jpg"],
    ],
)
def test_names_that_are_no_times(names):
    assert stamp_clock(names) is None


def put_stamped(folder, times):
    put_images(folder, [f"{1689857600 + time:.3f}.png" for time in times])
    return folder


def test_folders_named_by_time_stamps_are_paired_by_them(tmp_path, caplog):
    visible = put_stamped(tmp_path / "v", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    infrared = put_stamped(tmp_path / "i", [0.21, 0.29, 0.52, 0.61])  # starts later, loses one
    pairs = open_frames(visible, infrared).pairs
    assert pairs.first.tolist() == [2, 3, 4, 5, 6] and pairs.second.tolist() == [0, 1, 1, 2, 3]
    assert "at most 0.11 s from it" in caplog.text and "only the 5 of the visible and 4" in caplog.text
    elsewhere = put_stamped(tmp_path / "x", [1000, 1000.1, 1000.2])  # another clock
    assert open_frames(visible, elsewhere).pairs.second.tolist() == [0, 1, 2]


def test_the_rates_of_folders_are_options(tmp_path, caplog):
    put_images(tmp_path / "i", [f"{k:04d}.png" for k in range(4)])
    put_images(tmp_path / "v", [f"{k:04d}.png" for k in range(10)])
    words = [
        "--visible",
        str(put_gif(tmp_path / "v.gif", list(range(10)), [10] * 10)),
        "--infrared",
        str(tmp_path / "i"),
    ]
    for more in (["--fps", "4"], ["--infrared_fps", "4"]):
        video, _ = track.open_recording(track.parse_arguments([*words, *more]))
        assert video.sequence.frames.pairs.second.tolist() == [0, 0, 1, 1, 2, 2, 2, 3, 3]
    assert video.rate == 10
    assert even_clock(3).source == ASSUMED
