"""The browser app in a browser: from the page to the downloaded boxes."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from fake_model import moving_sequence

from lib.test.video.video import write_video

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT = 180_000  # milliseconds


@pytest.fixture(scope="module")
def playwright():
    pytest.importorskip("gradio", reason='the app needs Gradio: pip install -e ".[app]"')
    found = pytest.importorskip("playwright.sync_api", reason="a browser is driven with: pip install playwright")
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    with found.sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def address(playwright, tmp_path_factory):
    """The app, served for this module; all it wrote is gone afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scratch = tmp_path_factory.mktemp("app")
    command = [sys.executable, "tracking/app.py", "--port", str(port), "--most_megabytes", "1"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TMPDIR": str(scratch)})
    try:
        _wait_for(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
        _wait_until_gone(scratch)
    finally:
        process.terminate()
        process.wait(30)
    assert not list(scratch.glob("tracking_app_*"))


def _wait_for(address, process):
    end = time.monotonic() + 180
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the app did not start (status {process.poll()})")


def _wait_until_gone(scratch):
    """Visitors have left: their results and opened uploads are gone while the app still runs."""
    end = time.monotonic() + 20
    while left := [*scratch.glob("tracking_app_*/tracking_app_*"), *scratch.rglob("walk.mp4")]:
        assert time.monotonic() < end, left
        time.sleep(0.5)


@pytest.fixture
def page(playwright, address):
    browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1100, "height": 1000})
    elsewhere = []
    page.on("request", lambda request: elsewhere.append(request.url) if _leaves(request.url, address) else None)
    page.set_default_timeout(WAIT)
    page.goto(address)
    yield page
    browser.close()
    assert not elsewhere, "the page asks other machines"


def _leaves(url, address):
    return not url.startswith((address, "data:", "blob:", address.replace("http", "ws")))


def draw(page, x, y, w, h):
    """Click two corners, in pixels of the video."""
    image = page.locator("#frame img")
    page.wait_for_function("document.querySelector('#frame img')?.naturalWidth > 0")
    natural = image.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    for across, down in ((x, y), (x + w, y + h)):
        shown = image.bounding_box()
        place = {"x": across * shown["width"] / natural[0], "y": down * shown["height"] / natural[1]}
        image.click(position=place)
        page.wait_for_timeout(500)


def drag(page, x, y, w, h):
    """Drag a box, in pixels of the video; the picture fills its pane."""
    shown = page.locator("#frame img").bounding_box()
    assert shown["width"] > 500
    natural = page.locator("#frame img").evaluate("image => image.naturalWidth")
    for act, across, down in ((page.mouse.down, x, y), (page.mouse.up, x + w, y + h)):
        place = (across * shown["width"] / natural, down * shown["width"] / natural)
        page.mouse.move(shown["x"] + place[0], shown["y"] + place[1])
        act()


def test_bundled_sequence_from_click_to_download(page, tmp_path):
    page.click("#bundled")
    page.locator("#status", has_text="frame 1: 517,106,114,324").wait_for()
    page.click("#clear")
    draw(page, 517, 106, 114, 324)
    page.locator("#status", has_text=re.compile(r"frame 1: 51[678],10[567],11[345],32[345]")).wait_for()
    page.click("#track")
    page.locator("#status", has_text="60 frames, ").wait_for()
    video = page.locator("#result video")
    page.wait_for_function("document.querySelector('#result video')?.readyState >= 2")
    assert video.evaluate("video => video.videoWidth") > 600 and video.evaluate("video => video.duration") > 2
    video.evaluate("video => { video.pause(); video.currentTime = 1.0 }")  # scrub
    page.wait_for_function("!document.querySelector('#result video').seeking")
    with page.expect_download() as download:
        page.locator("#files a", has_text=re.compile("KB|B")).nth(3).click()
    boxes = np.loadtxt(download.value.path(), delimiter="\t")
    assert boxes.shape == (60, 4) and np.abs(boxes[0] - (517, 106, 114, 324)).max() < 2


@pytest.fixture
def uploads(tmp_path):
    """Videos of a moving target: visible, infrared and shorter, infrared of another shape."""
    sequence, paths = moving_sequence("film", length=10), []
    for name, side, length, width in (("walk", 0, 10, 240), ("walk_ir", 1, 8, 240), ("wide_ir", 1, 10, 150)):
        paths.append(tmp_path / f"{name}.mp4")
        with write_video(paths[-1], 20.0) as append:
            for index in range(length):
                append(np.ascontiguousarray(sequence.frames[index][side][:, :width]))
    return paths


def test_unequal_uploads_are_explained(page, uploads):
    assert page.locator("#track").is_disabled()
    page.set_input_files("#visible input", uploads[0])
    page.locator("#status", has_text="10 frames.").wait_for()
    page.set_input_files("#infrared input", uploads[2])
    page.locator("#status [role=alert]", has_text="walk.mp4 is 240x180, wide_ir.mp4 is 150x180").wait_for()
    assert page.locator("#track").is_disabled()
    page.locator("#infrared button[aria-label='Clear'], #infrared button[aria-label='Remove this file']").first.click()
    page.set_input_files("#infrared input", uploads[1])
    page.locator("#status", has_text="only the first 8 of the visible").wait_for()
    page.fill("#box textarea, #box input", "60,50,30,20")
    page.press("#box textarea, #box input", "Enter")
    page.locator("#status", has_text="frame 1: 60,50,30,20").wait_for()
    assert not page.locator("[role=alert]").count(), "an error stays after success"
    drag(page, 100, 90, 40, 30)
    page.locator("#status", has_text=re.compile(r"frame 1: (99|100|101),(89|90|91),(39|40|41),(29|30|31)")).wait_for()
    page.click("#track")
    page.locator("#status", has_text="8 frames, ").wait_for()


def test_too_large_an_upload_is_refused(page, tmp_path):
    (tmp_path / "large.mp4").write_bytes(bytes(3 << 20))
    page.set_input_files("#visible input", tmp_path / "large.mp4")
    page.get_by_text(re.compile("exceeds the maximum|maximum allowed size|too large", re.I)).first.wait_for()
