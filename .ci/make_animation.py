"""Make docs/images/demo.webp, the moving picture of the README, from the demo as it is now.

.venv/bin/python .ci/make_animation.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "images" / "demo.webp"
WIDTH = 720  # pixels
PAUSE = 80  # milliseconds a picture


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "tracking/video_demo.py", "--sequence", "docs/demo_sequence", "--output", folder]
        subprocess.run(command, cwd=ROOT, check=True)
        film, pictures = cv2.VideoCapture(f"{folder}/tracking.mp4"), []
        while True:
            read, picture = film.read()
            if not read:
                break
            height = round(picture.shape[0] * WIDTH / picture.shape[1])
            small = cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)
            pictures.append(Image.fromarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB)))
    pictures[0].save(TARGET, save_all=True, append_images=pictures[1:], duration=PAUSE, loop=0, quality=60, method=6)
    print(f"written: {TARGET}, {len(pictures)} pictures, {TARGET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
