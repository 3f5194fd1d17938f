"""Make docs/demo_sequence again, from M3SVD's video 0117_1605 and the boxes of its sequence a.

.venv/bin/python .ci/make_demo_sequence.py visible/0117_1605.mp4 infrared/0117_1605.mp4 boxes/m3svd_0117_1605_a.txt
"""

import sys
from pathlib import Path

import cv2

TARGET = Path(__file__).resolve().parents[1] / "docs" / "demo_sequence"
FIRST = 50  # frame of the video, counted from 1, that the first box belongs to
FRAMES = range(FIRST, FIRST + 120, 2)
QUALITY = {"visible": 85, "infrared": 80}


def write_stream(stream: str, video: str) -> None:
    """The chosen frames as JPEG files; the infrared ones grey."""
    (TARGET / stream).mkdir(exist_ok=True)
    capture = cv2.VideoCapture(video)
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY[stream], cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    for number in range(1, FRAMES[-1] + 1):
        read, image = capture.read()
        if not read:
            sys.exit(f"{video}: ends before frame {number}")
        if number in FRAMES:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if stream == "infrared" else image
            name = f"{FRAMES.index(number) + 1:05d}{stream[0]}.jpg"
            cv2.imwrite(str(TARGET / stream / name), image, options)


def write_boxes(source: str) -> None:
    """The boxes of the chosen frames, which are those of both streams."""
    lines = Path(source).read_text(encoding="utf-8").split()
    for name in ("init", "visible", "infrared"):
        chosen = "".join(f"{lines[number - FIRST]}\n" for number in FRAMES)
        (TARGET / f"{name}.txt").write_text(chosen, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    write_stream("visible", sys.argv[1])
    write_stream("infrared", sys.argv[2])
    write_boxes(sys.argv[3])
