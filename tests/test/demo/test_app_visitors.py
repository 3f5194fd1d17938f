"""The visitors of the browser app, their uploads and its command, without a browser."""

import asyncio
import base64
import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib.cli import app
from lib.core.errors import InputError
from lib.test.demo import app_visitors
from lib.test.demo.app_picture import WIDEST, picture_html
from lib.test.demo.app_session import FOLDER_PREFIX
from lib.test.demo.app_uploads import STALE, UploadLimit, held_bytes
from lib.test.demo.app_visitors import Visitors


@pytest.fixture
def visitors(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Visitors(50, tmp_path)


def upload(folder, text="film", name="walk.mp4"):
    """As Gradio does: equal files of equal names get one path, and the last one replaces the others."""
    path = folder / f"sha of {text}" / name
    path.parent.mkdir(exist_ok=True)
    (folder / "part").write_text(text)
    os.replace(folder / "part", path)
    return str(path)


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("late", [False, True], ids=["both opened", "the second not yet opened"])
def test_who_leaves_takes_no_upload_of_others_away(visitors, tmp_path, late):
    first, second = visitors.find("a"), visitors.find("b")
    first.own(upload(tmp_path))
    again = upload(tmp_path)
    kept = None if late else second.own(again)
    visitors.leave("a")
    kept = kept or second.own(again)
    assert Path(kept).read_text() == "film" and second.own(again) == kept
    visitors.leave("b")
    assert not list(tmp_path.iterdir()), "everybody left"


def test_a_new_video_takes_the_place_of_the_old_one(visitors, tmp_path):
    visitor = visitors.find("a")
    old, new = upload(tmp_path, "old"), upload(tmp_path, "new")
    for path in (old, new):
        visitor.own(path)
    visitor.keep_only(new, None)
    assert {path.read_text() for path in tmp_path.rglob("*.mp4")} == {"new"}
    assert visitor.own(upload(tmp_path, "next")) != visitor.own(new)
    os.remove(upload(tmp_path, "lost"))
    with pytest.raises(InputError, match="^walk.mp4: is not on the server any more"):
        visitor.own(str(tmp_path / "sha of lost" / "walk.mp4"))


def test_who_is_away_for_an_hour_is_removed_unless_a_run_goes_on(visitors, tmp_path):
    found = {name: visitors.find(name) for name in "abc"}
    own = {name: visitor.own(upload(tmp_path, name)) for name, visitor in found.items()}
    for name in "ab":
        found[name].last_used -= app_visitors.HOUR + 1
    found["b"].session.running = True
    visitors.sweep()
    assert [name for name in "abc" if os.path.exists(own[name])] == ["b", "c"]
    assert visitors.find("c") is found["c"] and visitors.find("a") is not found["a"]


def test_aborted_uploads_are_removed_but_nothing_in_use(visitors, tmp_path):
    old = time.time() - STALE - 1
    kept = visitors.find("a").own(upload(tmp_path))
    (tmp_path / "tmpabc").write_bytes(bytes(10))  # a part of an upload that was broken off
    never = upload(tmp_path, "never opened")
    for path in (tmp_path / "tmpabc", never, kept):
        os.utime(path, (old, old))
    (tmp_path / "tmpnew").write_bytes(bytes(10))  # an upload that is being received
    visitors.sweep()
    assert files(tmp_path) == ["tmpnew", "walk.mp4"] and os.path.exists(kept)
    assert [path.name[: len(FOLDER_PREFIX)] for path in tmp_path.iterdir() if path.is_dir()] == [FOLDER_PREFIX]


def ask(limit, path="/gradio_api/upload", size=b"600000"):
    """The status of the answer to one request."""
    answers = []

    async def send(message):
        answers.append(message)

    headers = [(b"content-length", size)] if size else []
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    asyncio.run(limit(scope, None, send))
    return answers[0]["status"]


def test_the_total_of_uploads_is_limited(tmp_path):
    async def accept(scope, receive, send):
        under_way.append(limit.under_way)
        await send({"type": "http.response.start", "status": 200})

    under_way, limit = [], UploadLimit(accept, tmp_path, max_megabytes=1)
    assert ask(limit) == 200 and under_way == [600000] and limit.under_way == 0
    (tmp_path / "walk.mp4").write_bytes(bytes(600000))
    os.link(tmp_path / "walk.mp4", tmp_path / "again.mp4")
    assert held_bytes(tmp_path) == 600000, "two names, one file"
    assert ask(limit) == 413 and ask(limit, size=b"1000") == 200 and ask(limit, size=b"") == 411
    assert ask(limit, path="/gradio_api/queue/join") == 200
    (tmp_path / "walk.mp4").unlink()
    (tmp_path / "again.mp4").unlink()
    limit.under_way = 600000
    assert ask(limit) == 413, "two at once"


def test_pictures_are_reduced_and_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    picture = picture_html(np.zeros((40, 4000, 3), np.uint8))
    data = base64.b64decode(picture.partition("base64,")[2].partition('"')[0])
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[1] == WIDEST
    assert "100.0000" in picture and not list(tmp_path.iterdir())


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


def test_the_total_is_limited(monkeypatch):
    monkeypatch.setattr("sys.argv", ["app.py", "--total_megabytes", "0"])
    with pytest.raises(InputError, match="--total_megabytes 0"):
        app.main()
