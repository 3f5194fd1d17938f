import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import micro
import numpy as np
import pytest
import torch
from fake_model import follow_alone

from lib.core.boxes import clip_box
from lib.core.config import load_config
from lib.core.crop import cut
from lib.core.errors import InputError
from lib.core.onnx_file import PACKAGES
from lib.core.view import context_side, mean_colour, place_square, place_stretched, place_with_context
from lib.datasets.readers.folder import read_folder
from lib.test.evaluation.open import load_tracker
from lib.test.export.graphs import describe, make_graphs, write_graph

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "docs/demo_sequence"
#: Of the boxes over the demo sequence, pixels: float32 in two programs, each frame cut around the box before.
TOLERANCE = 0.01
UPDATES = ("TEST.TEMPLATE_UPDATE.INTERVAL=2", "TEST.TEMPLATE_UPDATE.SHARE=0.5", "TEST.TEMPLATE_UPDATE.SCORE=0.1")

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in PACKAGES), reason="needs the packages of [export]"
)


@pytest.mark.slow
def test_boxes_equal_the_toolbox(deployed, tmp_path):
    tracker = load_tracker(load_config("iimf_track", "tiny"), ROOT / "pretrained_models/iimf_tiny.safetensors", "cpu")
    write_graphs(tracker.method, tmp_path)
    (sequence,) = read_folder(DEMO)
    expected = np.stack(follow_alone(tracker, sequence))
    box = ",".join(map(repr, sequence.boxes[0].tolist()))
    found = tracked_alone(tmp_path, "--visible", DEMO / "visible", "--infrared", DEMO / "infrared", box=box)
    assert found.shape == (60, 4) and np.ptp(found[:, 0]) > 30  # it did follow something
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def tracked_alone(folder: Path, *sources: object, box: str) -> np.ndarray:
    """The boxes that a copy of the script writes in a process of its own, where neither PyTorch nor this repository
    is."""
    copied = shutil.copytree(ROOT / "deploy", folder / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    alone = "import sys; sys.modules.update(torch=None, lib=None); sys.path[0] = {0!r}; import runpy; "
    alone += "sys.argv[0] = {1!r}; runpy.run_path({1!r}, run_name='__main__')"
    script = alone.format(str(copied), str(copied / "track_onnx.py"))
    command = [sys.executable, "-c", script, str(folder), "--box", box]
    subprocess.run([*command, *map(str, sources), "--output", "boxes.txt"], check=True, cwd=folder)
    return np.loadtxt(folder / "boxes.txt")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tracker", "weights", "changes", "cameras"),
    [
        ("fear", "fear_xs", ("TEST.STREAM=infrared",), ("visible", "infrared")),
        ("fear", "fear_xs", ("TEST.TEMPLATE_PADDING=black", "TEST.HOLD_SCORE=0.8", *UPDATES), ("visible",)),
        ("iimf_lite", "iimf_lite_xs", ("TEST.AGREEMENT.SHARE=0.99", *UPDATES), ("visible", "infrared")),
        ("iimf_lite", "iimf_lite_xs", (), ("visible",)),
    ],
)
def test_boxes_of_stretched_crops_equal_the_toolbox(tracker, weights, changes, cameras, tmp_path):
    cfg = load_config(tracker, "xs", list(changes))
    own = load_tracker(cfg, ROOT / f"pretrained_models/{weights}.safetensors", "cpu")
    write_graphs(own.method, tmp_path)
    (sequence,) = read_folder(DEMO)
    frames = [sequence.frames[index][: len(cameras)] for index in range(8)]
    expected = follow(own, frames, sequence.boxes[0])
    sources = copied_frames(cameras, tmp_path)
    found = tracked_alone(tmp_path, *sources, box=",".join(map(repr, sequence.boxes[0].tolist())))
    assert np.ptp(found[:, 0]) >= 1
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def write_graphs(method, folder):
    for name, part in make_graphs(method).items():
        write_graph(part, folder / f"{name}.onnx", describe(method))


def follow(tracker, frames, first):
    targets = tracker.start([frames[0]], [first], ["demo"])
    boxes = [targets[0].box]
    for images in frames[1:]:
        targets = tracker.track(targets, [images])
        boxes.append(targets[0].box)
    return boxes


def copied_frames(cameras, folder):
    """The first eight frames of the demo, as words of the command line."""
    for camera in cameras:
        (folder / camera).mkdir()
        for path in sorted((DEMO / camera).iterdir())[:8]:
            shutil.copy(path, folder / camera)
    return [word for camera in cameras for word in (f"--{camera}", folder / camera)]


@pytest.mark.slow
def test_boxes_of_crops_with_context_equal_the_toolbox(tmp_path):
    """A small SiamDMA of one level with random weights, whose box drifts; the whole one takes minutes to write."""
    own = micro.tracker("siamdma-baseline")
    (sequence,) = read_folder(DEMO)
    first = sequence.boxes[0] + (0.4, 0.3, 0, 0)
    expected = follow(own, [sequence.frames[index] for index in range(8)], first)
    write_graphs(own.method, tmp_path)
    sources = copied_frames(("visible", "infrared"), tmp_path)
    found = tracked_alone(tmp_path, *sources, box=",".join(map(repr, first.tolist())))
    assert np.ptp(found, axis=0).max() >= 1
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


class UnwrittenGraph:
    """A graph that is computed by PyTorch, in the place of a session of ONNX Runtime. A box is no input of it."""

    def __init__(self, graph, about):
        self.graph, self.about = graph, about

    def get_modelmeta(self):
        return SimpleNamespace(custom_metadata_map={"rgbt_tracking": self.about})

    def get_inputs(self):
        return [SimpleNamespace(name=name) for name in self.graph.inputs if name != "box"]

    def get_outputs(self):
        return [SimpleNamespace(name=name) for name in self.graph.outputs]

    @torch.no_grad()
    def run(self, names, given):
        given = {"box": np.zeros((1, 4), np.float32), **given}
        return [value.numpy() for value in self.graph.module(*(torch.from_numpy(given[k]) for k in self.graph.inputs))]


@pytest.mark.parametrize(
    ("variant", "changes", "cameras"),
    [
        ("siamdma", (), 2),
        ("siamdma-baseline", ("TEST.CONTEXT=0.3",), 2),
        ("siamrpnpp", ("TEST.STREAM=visible",), 1),
        ("siammask", ("TEST.MASK=false",), 1),
    ],
)
def test_rules_of_crops_with_context_equal_the_toolbox(deployed, monkeypatch, tmp_path, variant, changes, cameras):
    """As above, without files of graphs; one box begins at the frame's edge."""
    own = micro.tracker(variant, *changes)
    for name in ("template", "search"):
        (tmp_path / f"{name}.onnx").touch()
    known = {name: UnwrittenGraph(part, describe(own.method)) for name, part in make_graphs(own.method).items()}
    monkeypatch.setattr(
        deployed.tracker.onnxruntime, "InferenceSession", lambda path, options, providers: known[Path(path).stem]
    )
    random = np.random.default_rng(0)
    images = [[cv2.resize(random.integers(0, 256, (9, 12, 3), np.uint8), (240, 180)) for _ in range(cameras)]
              for _ in range(6)]  # fmt: skip
    for first in ((50.4, 60.3, 40.0, 30.0), (-3.7, 150.2, 21.0, 44.5)):
        expected = follow(own, images, np.array(first))
        tracker = deployed.OnnxTracker(tmp_path)
        frames = [np.concatenate(frame, axis=2) for frame in images]
        target = tracker.start(frames[0], first)
        found = [target.box, *(tracker.track(target, frame) for frame in frames[1:])]
        assert np.ptp(found, axis=0).max() > 0.2
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_crops_with_context_equal_the_toolbox(deployed):
    random = np.random.default_rng(0)
    image, outside = random.integers(0, 256, (90, 120, 6), np.uint8), 0
    fill = np.arange(6, dtype=np.uint8)
    for _ in range(200):
        box = np.concatenate([random.uniform(-100, 200, 2), random.uniform(0, 60, 2)])
        size, side = int(random.choice([64, 127])), random.uniform(1, 200)
        view = place_with_context(box, side, size, size / side, fill)
        pixels = deployed.crops.cut_with_context(image, box[:2] + box[2:] / 2, side, size, fill)
        np.testing.assert_array_equal(pixels, cut(image, view))
        assert deployed.crops.context_side(box, 0.3) == context_side(box, 0.3)
        outside += sum(view.outside(image.shape[:2])) > 0
    assert outside > 100
    np.testing.assert_array_equal(
        deployed.crops.mean_colour(image), np.concatenate([mean_colour(image[..., :3]), mean_colour(image[..., 3:])])
    )


def test_stretched_crops_equal_the_toolbox(deployed):
    random = np.random.default_rng(0)
    image, outside = random.integers(0, 256, (90, 120, 6), np.uint8), 0
    fill = np.arange(6, dtype=np.uint8)
    for _ in range(200):
        box = np.rint(np.concatenate([random.uniform(-200, 200, 2), random.uniform(0, 60, 2)]))
        factor, size = random.choice([1.4, 5.0]), int(random.choice([64, 128]))
        view = place_stretched(box, factor, size, fill)
        pixels, extent = deployed.crops.cut_stretched(image, box, factor, size, fill)
        np.testing.assert_array_equal(pixels, cut(image, view))
        assert tuple(extent) == view.extent and (size / extent[0], size / extent[1]) == view.scale
        outside += sum(view.outside(image.shape[:2])) > 0
    assert outside > 100


def test_rules_that_the_script_does_not_follow_are_refused(deployed):
    known = {"geometry": "StretchedGeometry", "motion": 0.0}
    deployed.tracker.check_rules("out", known)
    for change, message in (
        ({"box": "area"}, "out: TEST.BOX is area, which is not followed here; export again with proposal"),
        ({"motion": 0.5}, "out: TEST.MOTION is 0.5, which is not followed here; export again with 0"),
        ({"geometry": "RefinerGeometry"}, "out: RefinerGeometry crops are not supported here"),
    ):
        with pytest.raises(ValueError, match=message):
            deployed.tracker.check_rules("out", known | change)


def test_two_corners_instead_of_a_size_are_named(deployed, capsys):
    for box in ((60, 50, 230, 70), (200, 150, 30, 20), (60, 50, 90, 70)):
        deployed.tracker.warn_of_corners(np.array(box), 180, 240)
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
                deployed.crops.cut(image, box, factor, size)
            continue
        pixels, scale = deployed.crops.cut(image, box, factor, size)
        np.testing.assert_array_equal(pixels, cut(image, view))
        assert (scale, scale) == view.scale


def test_clipping_equals_the_toolbox(deployed):
    random = np.random.default_rng(0)
    for box in np.concatenate([random.uniform(-60, 160, (300, 2)), random.uniform(0, 120, (300, 2))], axis=1):
        np.testing.assert_array_equal(deployed.crops.clip(box, 90, 120, 10), clip_box(box, 90, 120))


def test_images_are_joined_visible_first_and_red_first(deployed):
    visible, infrared = (np.full((2, 2, 3), colour, np.uint8) for colour in ((1, 2, 3), (4, 5, 6)))
    assert deployed.join([visible, infrared])[0, 0].tolist() == [3, 2, 1, 6, 5, 4]
    assert deployed.join([cv2.cvtColor(visible, cv2.COLOR_BGR2RGB)])[0, 0].tolist() == [1, 2, 3]
