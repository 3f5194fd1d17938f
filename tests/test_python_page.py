"""Every Python block of docs/python.md runs, one after the other, as in an installed package."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lib.test.demo.bundled import DEMO_SEQUENCE
from lib.test.video.pairing import open_sequence
from lib.test.video.video import write_image, write_video

ROOT = Path(__file__).parents[1]
TINY = ROOT / "pretrained_models" / "iimf_tiny.safetensors"
PAGE = ROOT / "docs" / "python.md"
BEFORE = """
import cv2
visible, infrared = (cv2.imread(f"{name}.png")[..., ::-1] for name in ("frame", "frame_ir"))
raw_thermal = infrared[..., 0].astype("uint16") * 10 + 6900
"""
AFTER = """
assert len(targets) == 2 and all(target.found for target in targets[:1]), targets
print("page ends", targets[0])
"""


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def run(tmp_path):
    """Runs lines in a folder that holds what the pages name, with the package under its public name."""
    frames = open_sequence(DEMO_SEQUENCE).frames
    for place, names in enumerate((("visible", "frame"), ("infrared", "frame_ir"))):
        with write_video(tmp_path / f"{names[0]}.mp4", 25.0) as append:
            for index in range(4):
                append(frames[index][place])
        write_image(tmp_path / f"{names[1]}.png", frames[0][place])
    (tmp_path / "my.yaml").write_text((ROOT / "experiments" / "iimf_track" / "tiny.yaml").read_text())
    (tmp_path / "mine.safetensors").symlink_to(TINY)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "rgbt_toolbox").symlink_to(ROOT / "lib")  # under the name that a wheel gives it
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"}

    def call(lines):
        command = [sys.executable, "-c", lines]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-2000:]
        return done

    return call


def test_every_block_of_the_page_runs(run):
    found = blocks(PAGE)
    done = run(BEFORE + "\n".join(found) + AFTER)
    assert len(found) >= 7 and "page ends Target(" in done.stdout
    assert done.stderr.count("no infrared image: the network is given a black one") == 1


def test_the_lines_of_the_readme_run(run):
    run(BEFORE + "\n".join(blocks(ROOT / "README.md")))
