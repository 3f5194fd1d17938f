"""What the browser app does, without a browser."""

import logging
import threading
from pathlib import Path

import numpy as np
import pytest
from fake_model import fake_tracker, moving_sequence

from lib.core.distributed import device_types
from lib.core.errors import InputError
from lib.test.demo import app_session
from lib.test.demo.app_messages import collected_messages
from lib.test.demo.app_session import VISIBLE_ALONE, Session, VisitorLeft, VisitorOptions, summary
from lib.test.demo.bundled import CHECKPOINT, CONFIG, TRACKER, bundled_models
from lib.test.video.draw import ORANGE
from lib.test.video.video import VideoFrames, write_video

BUNDLED = f"{TRACKER} {CONFIG}"


@pytest.fixture
def session(monkeypatch):
    monkeypatch.setattr(app_session, "_build", lambda model, device, mode: fake_tracker("cpu"))
    made = Session(max_frames=50)
    yield made
    folder = made.folder
    made.close()
    assert not folder.exists()


@pytest.fixture
def uploads(tmp_path):
    """Two videos of a moving target, the infrared one shorter."""
    sequence, paths = moving_sequence("film", length=8), []
    for side, (name, length) in enumerate((("walk", 8), ("walk_ir", 7))):
        paths.append(str(tmp_path / "upload" / f"{name}.mp4"))
        with write_video(Path(paths[-1]), 20.0) as append:
            for index in range(length):
                append(sequence.frames[index][side])
    return paths


def click(session, frame, x, y, target=1):
    """A click at a place in pixels of the uploads."""
    return drag(session, frame, (x, y), (x, y), target)


def drag(session, frame, first, second, target=1):
    """The mouse, pressed at one place and released at another."""
    places = ((x / 240, y / 180) for x, y in (first, second))
    return session.point(frame, *places, target)


def test_from_upload_to_files(session, uploads):
    lines = session.open(*uploads, align=False)
    assert "walk.mp4 has 8 frames, walk_ir.mp4 7" in lines[0] and "/" not in lines[0] and lines[-1] == "7 frames."
    assert "opposite" in click(session, 0, 90, 70)
    assert click(session, 0, 60, 50) == "Boxes (x,y,w,h): frame 1: 60,50,30,20"
    calls = []
    result = session.track(VisitorOptions(BUNDLED), lambda done, total: calls.append((done, total)))
    assert calls == [(k, 7) for k in range(1, 8)]
    assert [path.name for path in result.files] == ["tracking.webm", "contact_sheet.png", "tracks.csv", "boxes.txt"]
    assert len(VideoFrames(result.files[0])) == 7 and result.files[0].is_relative_to(session.folder)
    np.testing.assert_allclose(result.rows[-1].box, moving_sequence("", 8).boxes[6], atol=2.5)
    assert summary(result).startswith("7 frames, ")


def test_a_later_box_corrects(session, uploads):
    session.open(*uploads, align=False)
    session.enter(0, "60,50,30,20")
    assert session.enter(3, "70, 60, 12, 10").endswith("frame 1: 60,50,30,20; frame 4: 70,60,12,10")
    result = session.track(VisitorOptions(BUNDLED))
    assert [row.frame for row in result.rows if row.given] == [1, 4]
    again = session.track(VisitorOptions(BUNDLED))
    assert again.files[0] != result.files[0] and result.files[0].exists()
    third = session.track(VisitorOptions(BUNDLED))
    assert third.files[0].exists() and not result.files[0].exists(), "results of earlier runs add up"
    session.drawn.clear()
    with pytest.raises(InputError, match="no box; click"):
        session.track(VisitorOptions(BUNDLED))


def test_boxes_and_half_a_box_belong_to_their_video(session, uploads):
    session.open(*uploads, align=False)
    session.enter(3, "70,60,12,10")
    session.point(0, (0.2, 0.2), (0.2, 0.2))
    session.open(uploads[0], None, align=False)
    assert session.drawn.boxes == {} and session.drawn.corner is None
    assert "opposite" in session.point(0, (0.4, 0.4), (0.4, 0.4)), "a first corner, not the second of the video before"
    session.open_bundled()
    assert list(session.drawn.boxes) == [0] and session.drawn.corner is None


def test_the_bundled_sequence_comes_with_its_box(session):
    assert "bundled" in session.open_bundled()[0]
    assert list(session.drawn.boxes) == [0] and session.length == 50 and session.ready


def test_pictures_have_the_pixels_of_the_video(session, uploads):
    session.open(*uploads, align=False)
    session.enter(2, "60,50,30,20")
    drawn = session.picture(2)
    line = np.argwhere(np.abs(drawn.astype(int) - ORANGE).max(-1) < 70)
    assert drawn.shape == (180, 240, 3) and len(line) > 80
    assert np.abs(line.min(0) - (50, 60)).max() <= 1 and np.abs(line.max(0) - (70, 90)).max() <= 1
    assert np.abs(session.picture(1, 1).astype(int) - session.picture(1, 0)).max() > 50


def test_only_the_first_frames_are_tracked(uploads):
    session = Session(max_frames=3)
    lines = session.open(uploads[0], None, align=True)
    assert VISIBLE_ALONE in lines and lines[-1] == "8 frames, of which the first 3 are tracked."
    assert session.length == 3
    session.close()


def test_a_click_twice_on_one_place_is_no_box(session, uploads):
    session.open(*uploads, align=False)
    click(session, 0, 60, 50)
    assert "too small" in click(session, 0, 62, 51) and not session.drawn.boxes


def test_bad_input_is_one_line(session, uploads, tmp_path):
    for act in (session.track, lambda options: session.picture(0)):
        with pytest.raises(InputError, match="no video yet"):
            act(VisitorOptions(BUNDLED))
    with pytest.raises(InputError, match="no visible video"):
        session.open(None, uploads[1], align=False)
    (tmp_path / "notes.mp4").write_text("no video")
    with pytest.raises(InputError, match="^notes.mp4: cannot be read as a video"):
        session.open(str(tmp_path / "notes.mp4"), None, align=False)
    session.open(*uploads, align=False)
    for text, words in (
        ("1,2,3", "^1,2,3: expected x,y,w,h"),
        ("1e9,1e9,1e9,1e9", "expected x,y,w,h"),
        ("0,0,60000,60000", "frame 1: first box"),
        ("500,50,30,20", "frame 1: first box"),
    ):
        with pytest.raises(InputError, match=words):
            session.enter(0, text)
    with pytest.raises(InputError, match="frame 8: the video has 7 frames"):
        session.picture(7)
    with pytest.raises(InputError, match="target 0: expected 1 to"):
        session.enter(0, "60,50,30,20", target=0)
    assert not session.ready


def test_a_new_video_forgets_the_boxes_and_results_of_the_one_before(session, uploads):
    session.open(*uploads, align=False)
    session.enter(2, "60,50,30,20")
    click(session, 3, 60, 50)
    result = session.track(VisitorOptions(BUNDLED))
    session.open(uploads[0], None, align=False)
    assert not session.drawn.boxes and session.drawn.corner is None and not session.ready
    assert not result.files[0].exists()
    with pytest.raises(InputError, match="cannot be read"):
        session.open(__file__, None, align=False)


def test_a_box_by_dragging_and_several_targets(session, uploads):
    session.open(*uploads, align=False)
    assert drag(session, 0, (90, 70), (60, 50)) == "Boxes (x,y,w,h): frame 1: 60,50,30,20"
    click(session, 0, 20, 20, target=2)
    assert "opposite" in click(session, 0, 200, 100, target=3), "a corner of another target completes no box"
    assert drag(session, 0, (230, 170), (300, 200), target=2).endswith("frame 1, target 2: 230,170,10,10")
    result = session.track(VisitorOptions(BUNDLED))
    assert {row.target for row in result.rows} == {1, 2} and len(result.rows) == 14


@pytest.mark.parametrize("how", ["leaves", "opens another"])
def test_a_run_ends_when_its_visitor(session, uploads, how):
    session.open(*uploads, align=False)
    session.enter(0, "60,50,30,20")
    done = []

    def act(frame, total):
        done.append(frame)
        if frame == 2:
            session.close() if how == "leaves" else session.open_bundled()

    with pytest.raises(VisitorLeft):
        session.track(VisitorOptions(BUNDLED), act)
    assert done == [1, 2] and not session.running
    assert not (session.folder / "1").exists() and session.folder.exists() == (how != "leaves")


def test_messages_hold_no_folders_of_the_server(session, uploads, monkeypatch):
    def fail(model, device, mode):
        raise InputError("/srv/models/my tracker/x.safetensors and /srv/a.pth: see https://example.org/c/d or 1/2")

    monkeypatch.setattr(app_session, "_build", fail)
    session.open(*uploads, align=False)
    session.enter(0, "60,50,30,20")
    with pytest.raises(InputError) as raised:
        session.track(VisitorOptions(BUNDLED))
    assert "/srv" not in str(raised.value) and "a.pth: see https://example.org/c/d or 1/2" in str(raised.value)


def test_messages_of_other_visitors_are_not_shown():
    log = logging.getLogger("lib.test.video")
    with collected_messages() as lines:
        other = threading.Thread(target=log.warning, args=("secret.mp4",))
        other.start()
        other.join()
        log.warning("mine.mp4")
    assert lines == ["mine.mp4"]


def test_cameras_of_unlike_shape_are_sent_to_the_alignment(session, uploads, tmp_path):
    with write_video(tmp_path / "square.mp4", 20.0) as append:
        append(np.zeros((180, 180, 3), np.uint8))
    with pytest.raises(InputError, match="walk.mp4 is 240x180, square.mp4 is 180x180: .* box “align the cameras”"):
        session.open(uploads[0], str(tmp_path / "square.mp4"), align=False)
    with pytest.raises(InputError, match="do not agree"):
        session.open(uploads[0], str(tmp_path / "square.mp4"), align=True)


def test_models_and_devices():
    models = bundled_models()
    assert next(iter(models)) == BUNDLED and models[BUNDLED].checkpoint == CHECKPOINT
    assert device_types()[-1] == "cpu"
