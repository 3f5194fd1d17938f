"""What the browser app does, without a browser."""

import sys
from pathlib import Path

import numpy as np
import pytest
from fake_model import fake_tracker, moving_sequence

from lib.cli import app
from lib.core.distributed import device_types
from lib.core.errors import InputError
from lib.core.frame import GREY_COPY, NO_INFRARED
from lib.test.demo import app_session
from lib.test.demo.app_session import Session, VisitorOptions, summary
from lib.test.demo.bundled import CHECKPOINT, CONFIG, TRACKER, bundled_models
from lib.test.video.draw import ORANGE
from lib.test.video.video import VideoFrames, write_video

BUNDLED = f"{TRACKER} {CONFIG}"


@pytest.fixture
def session(monkeypatch):
    monkeypatch.setattr(app_session, "_build", lambda model, device, mode: fake_tracker("cpu"))
    made = Session(max_frames=50)
    yield made
    made.close()
    assert not made.folder.exists()


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


def test_from_upload_to_files(session, uploads):
    lines = session.open(*uploads, align=False)
    assert "walk.mp4 has 8 frames, walk_ir.mp4 7" in lines[0] and "/" not in lines[0] and lines[-1] == "7 frames."
    assert "opposite" in session.click(0, 90, 70)
    assert session.click(0, 60, 50) == "Boxes (x,y,w,h): frame 1: 60,50,30,20"
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
    session.clear()
    with pytest.raises(InputError, match="no box; click"):
        session.track(VisitorOptions(BUNDLED))


def test_the_bundled_sequence_comes_with_its_box(session):
    assert "bundled" in session.open_bundled()[0]
    assert list(session.boxes) == [0] and session.length == 50


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
    assert NO_INFRARED[GREY_COPY] in lines and lines[-1] == "8 frames, of which the first 3 are tracked."
    assert session.length == 3
    session.close()


def test_a_click_twice_on_one_place_is_no_box(session, uploads):
    session.open(*uploads, align=False)
    session.click(0, 60, 50)
    assert "too small" in session.click(0, 62, 51) and not session.boxes


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
    with pytest.raises(InputError, match="^1,2,3: expected x,y,w,h"):
        session.enter(0, "1,2,3")


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


def test_without_gradio_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr("sys.argv", ["app.py"])
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "lib.test.demo.app_page", raising=False)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    with pytest.raises(InputError, match=r"needs Gradio; install it with: pip install .gradio>=6"):
        app.main()


@pytest.mark.parametrize("limit", ["frames", "megabytes"])
@pytest.mark.parametrize("first", ["max", "most"])
def test_limits_are_checked(monkeypatch, first, limit):
    monkeypatch.setattr("sys.argv", ["app.py", f"--{first}_{limit}", "0"])
    with pytest.raises(InputError, match=f"--max_{limit} 0"):
        app.main()
