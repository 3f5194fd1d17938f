"""Cameras, by a stand-in: pictures that come when the test says so."""

import threading
import time

import cv2
import numpy as np
import pytest
from fake_model import fake_tracker, moving_sequence

from lib.core.errors import InputError
from lib.test.demo.boxes import first_boxes
from lib.test.demo.video_run import DemoVideo, VideoOptions, track_video
from lib.test.video import live
from lib.test.video.live import Camera, LiveFrames, open_cameras
from lib.test.video.video import VideoFrames


class StandIn:
    """What cv2.VideoCapture is to a camera."""

    def __init__(self, pictures, rate=20.0, pause=0.01):
        self.pictures, self.rate, self.pause = list(pictures), rate, pause
        self.released = threading.Event()

    def isOpened(self):  # noqa: N802
        return bool(self.pictures)

    def get(self, what):
        assert what == cv2.CAP_PROP_FPS
        return self.rate

    def read(self):
        time.sleep(self.pause)
        return (True, self.pictures.pop(0)) if self.pictures else (False, None)

    def release(self):
        self.released.set()


def grey(level, size=(24, 32)):
    return np.full((*size, 3), level, np.uint8)


def camera(pictures, **known):
    stand_in = StandIn(pictures, **known)
    return Camera("0", lambda source: stand_in), stand_in


def test_pictures_come_as_rgb_until_the_stream_ends():
    blue = grey(0)
    blue[..., 0] = 200  # OpenCV's order
    eye, stand_in = camera([blue, blue])
    frames = LiveFrames([eye])
    assert frames.modalities == ("visible",) and frames.rate == 20
    seen = [images[0] for images in frames]
    assert 1 <= len(seen) <= 2 and (seen[0] == [0, 0, 200]).all()
    assert stand_in.released.wait(2)


def test_a_slow_reader_gets_the_newest_picture():
    eye, _ = camera([grey(level) for level in range(0, 200, 2)], pause=0.005)
    first, image = eye.newest(0)
    time.sleep(0.1)
    second, later = eye.newest(first)
    assert second > first + 3 and later.mean() > image.mean()
    eye.close()


def test_two_cameras_of_different_size_are_brought_together(caplog):
    pair = [camera([grey(50)] * 5)[0], camera([grey(90, (12, 16))] * 5)[0]]
    images = next(iter(LiveFrames(pair)))
    assert [image.shape for image in images] == [(24, 32, 3)] * 2 and "infrared is scaled" in caplog.text


def test_two_cameras_of_different_shape_need_a_registration(tmp_path):
    def pair():
        return [camera([grey(50)] * 50)[0], camera([grey(90, (24, 24))] * 50)[0]]

    with pytest.raises(InputError, match="camera 0 is 32x24, camera 0 is 24x24: different aspect ratios"):
        LiveFrames(pair())
    (tmp_path / "h.txt").write_text("1 0 4 0 1 0 0 0 1")
    visible, infrared = next(iter(LiveFrames(pair(), str(tmp_path / "h.txt"))))
    assert infrared.shape == visible.shape and not infrared[:, :3].any() and (infrared[:, 5:27] == 90).all()


def test_a_camera_that_falls_silent_is_one_line(monkeypatch):
    monkeypatch.setattr(live, "TIMEOUT", 0.05)
    eye, _ = camera([grey(1)] * 3, pause=0.5)
    with pytest.raises(InputError, match="camera 0: no picture for 0.05 seconds"):
        eye.newest(0)
    eye.close()


def test_a_camera_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda source: StandIn([]))
    with pytest.raises(InputError, match="camera rtsp://nowhere: cannot be opened"):
        open_cameras("rtsp://nowhere", None)


def test_a_stream_that_ends_at_once_is_one_line():
    with pytest.raises(InputError, match="cameras 0 and 0: no first picture"):
        LiveFrames([camera([grey(1)] * 3)[0], Camera("0", lambda source: Ending())])


class Ending(StandIn):
    """Opens, and has nothing to show."""

    def __init__(self):
        super().__init__([grey(0)])

    def read(self):
        return False, None


def test_a_live_video_lasts_as_long_as_tracking_took(tmp_path):
    sequence = moving_sequence("live", length=3)
    pictures = [[cv2.cvtColor(image, cv2.COLOR_RGB2BGR) for image in sequence.frames[0]] for _ in range(200)]
    eyes = [camera([pair[side] for pair in pictures], pause=0.02, rate=50.0)[0] for side in (0, 1)]
    frames = LiveFrames(eyes)

    def dawdle(index):
        time.sleep(0.1)

    video = DemoVideo("camera", frames, frames.modalities, frames.rate)
    options = VideoOptions(first_boxes(sequence.boxes[:1]), max_frames=5)
    result = track_video(fake_tracker(), video, tmp_path, options, on_frame=dawdle)
    frames.close()
    assert len(result.seconds) == 5
    assert len(VideoFrames(tmp_path / "tracking.mp4")) == pytest.approx(50 * result.elapsed, rel=0.35)
    np.testing.assert_allclose(result.rows[-1].box, sequence.boxes[0], atol=1.0)


def test_credentials_of_an_address_are_not_printed(caplog):
    address = "rtsp://admin:s3cr@t@10.0.0.7/thermal?token=t0k"
    with pytest.raises(InputError, match=r"camera rtsp://…@10\.0\.0\.7/thermal\?…: cannot be opened"):
        Camera(address, lambda source: StandIn([]))
    pictures = [grey(5)] * 3
    eye = Camera(address, lambda source: StandIn(pictures, rate=90000.0))
    assert eye.rate == 25 and "10.0.0.7/thermal?…: says 90000 frames/s" in caplog.text
    with pytest.raises(InputError) as told:
        LiveFrames([eye, Camera(address, lambda source: StandIn([grey(5, (10, 40))]))])
    assert "s3cr" not in caplog.text + str(told.value) and "t0k" not in caplog.text + str(told.value)
    eye.close()
