"""Make the pictures of the README again, from the toolbox as it is now.

.venv/bin/python .ci/make_images.py animation      docs/images/demo.webp
.venv/bin/python .ci/make_images.py screenshot     docs/images/app.png; needs Gradio, Playwright and Chromium
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import cv2
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
ANIMATION_WIDTH, SCREENSHOT_WIDTH = 720, 900  # pixels
PAUSE = 80  # milliseconds a picture
WAIT = 120_000  # milliseconds


def make_animation() -> Path:
    """The demo's video, smaller and for browsers."""
    target = IMAGES / "demo.webp"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "tracking/video_demo.py", "--sequence", "docs/demo_sequence", "--out", folder]
        subprocess.run(command, cwd=ROOT, check=True)
        film, pictures = cv2.VideoCapture(f"{folder}/tracking.mp4"), []
        while True:
            read, picture = film.read()
            if not read:
                break
            size = ANIMATION_WIDTH, round(picture.shape[0] * ANIMATION_WIDTH / picture.shape[1])
            small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            pictures.append(Image.fromarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB)))
    pictures[0].save(target, save_all=True, append_images=pictures[1:], duration=PAUSE, loop=0, quality=60, method=6)
    return target


def make_screenshot() -> Path:
    """The app after it followed the bundled sequence's target."""
    from playwright.sync_api import sync_playwright

    target, browser_path = IMAGES / "app.png", shutil.which("chromium") or shutil.which("google-chrome")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = subprocess.Popen([sys.executable, "tracking/app.py", "--port", str(port)], cwd=ROOT)
    try:
        wait_for(f"http://127.0.0.1:{port}")
        with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
            browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1180, "height": 900})
            page.set_default_timeout(WAIT)
            page.goto(f"http://127.0.0.1:{port}")
            page.click("#bundled")
            page.locator("#status", has_text="frame 1:").wait_for()
            page.click("#track")
            page.wait_for_function("document.querySelector('#result video')?.readyState >= 2")
            page.evaluate(
                "() => { const film = document.querySelector('#result video'); film.pause(); film.currentTime = 1.3 }"
            )
            page.wait_for_timeout(2000)
            page.screenshot(path=f"{folder}/full.png", full_page=True)
            whole = Image.open(f"{folder}/full.png").convert("RGB")
            browser.close()
    finally:
        app.terminate()
        app.wait()
    size = SCREENSHOT_WIDTH, round(whole.height * SCREENSHOT_WIDTH / whole.width)
    small = whole.resize(size, Image.Resampling.LANCZOS)
    small.quantize(256, Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE).save(target, optimize=True)
    return target


def wait_for(address: str) -> None:
    """Until somebody answers there, five minutes at most."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    sys.exit("the app did not start")


if __name__ == "__main__":
    kinds = {"animation": make_animation, "screenshot": make_screenshot}
    if len(sys.argv) != 2 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    made = kinds[sys.argv[1]]()
    print(f"written: {made}, {made.stat().st_size / 1e3:.0f} kB")
