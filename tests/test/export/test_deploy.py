import importlib.util
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_model import follow_alone

from lib.core.boxes import clip_box
from lib.core.config import load_config
from lib.core.crop import cut
from lib.core.errors import InputError
from lib.core.onnx_file import PACKAGES
from lib.core.view import place_square
from lib.datasets.readers.folder import read_folder
from lib.test.evaluation.open import load_tracker
from lib.test.export.graphs import describe, make_graphs, write_graph

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "docs/demo_sequence"
#: Of the boxes over the demo sequence, pixels: float32 in two programs, each frame cut around the box before.
TOLERANCE = 0.01

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in PACKAGES), reason="needs the packages of [export]"
)


@pytest.mark.slow
def test_boxes_equal_the_toolbox(deployed, tmp_path):
    tracker = load_tracker(load_config("iimf_track", "tiny"), ROOT / "pretrained_models/iimf_tiny.safetensors", "cpu")
    for name, part in make_graphs(tracker.method).items():
        write_graph(part, tmp_path / f"{name}.onnx", describe(tracker.method))
    (sequence,) = read_folder(DEMO)
    expected = np.stack(follow_alone(tracker, sequence))
    box = ",".join(map(repr, sequence.boxes[0].tolist()))
    # A process of its own, and a folder of its own: neither PyTorch nor this repository may be needed.
    alone = "import sys; sys.modules.update(torch=None, lib=None); sys.argv[0] = {0!r}; import runpy; "
    alone += "runpy.run_path({0!r}, run_name='__main__')"
    command = [sys.executable, "-c", alone.format(str(ROOT / "deploy/track_onnx.py")), str(tmp_path), "--box", box]
    command += ["--visible", str(DEMO / "visible"), "--infrared", str(DEMO / "infrared"), "--output", "boxes.txt"]
    subprocess.run(command, check=True, cwd=tmp_path)
    found = np.loadtxt(tmp_path / "boxes.txt")
    assert found.shape == (60, 4) and np.ptp(found[:, 0]) > 30  # it did follow something
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_two_corners_instead_of_a_size_are_named(deployed, capsys):
    for box in ((60, 50, 230, 70), (200, 150, 30, 20), (60, 50, 90, 70)):
        deployed.warn_of_corners(np.array(box), 180, 240)
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("box 60,50,230,70 sticks out") and said.endswith("give x,y,w,h: 60,50,170,20")


def test_crops_equal_the_toolbox(deployed):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (90, 120, 6), np.uint8)
    for _ in range(200):
        box = np.concatenate([random.uniform(-10, 100, 2), random.uniform(3, 60, 2)])
        factor, size = random.choice([2.0, 4.0, 5.0]), int(random.choice([64, 128]))
        try:
            view = place_square(box, factor, size, image.shape[:2])
        except InputError:
            with pytest.raises(ValueError, match="outside"):
                deployed.cut(image, box, factor, size)
            continue
        pixels, scale = deployed.cut(image, box, factor, size)
        np.testing.assert_array_equal(pixels, cut(image, view))
        assert (scale, scale) == view.scale


def test_clipping_equals_the_toolbox(deployed):
    random = np.random.default_rng(0)
    for box in np.concatenate([random.uniform(-60, 160, (300, 2)), random.uniform(0, 120, (300, 2))], axis=1):
        np.testing.assert_array_equal(deployed.clip(box, 90, 120, 10), clip_box(box, 90, 120))


def test_images_are_joined_visible_first_and_red_first(deployed):
    visible, infrared = (np.full((2, 2, 3), colour, np.uint8) for colour in ((1, 2, 3), (4, 5, 6)))
    assert deployed.join([visible, infrared])[0, 0].tolist() == [3, 2, 1, 6, 5, 4]
    assert deployed.join([cv2.cvtColor(visible, cv2.COLOR_BGR2RGB)])[0, 0].tolist() == [1, 2, 3]
