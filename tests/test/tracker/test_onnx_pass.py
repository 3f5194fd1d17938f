"""ONNX Runtime as the backend of the tracker: the same boxes, kept graphs, and what is refused."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import micro
import numpy as np
import pytest
import torch
from fake_model import follow_together, moving_sequence

from lib.core import onnx_file, tree
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.core.onnx_file import PACKAGES
from lib.datasets.readers.folder import read_folder
from lib.models import build_method, build_model
from lib.models.method import OneView
from lib.test.evaluation import graph_cache
from lib.test.evaluation.graph_cache import open_graphs
from lib.test.evaluation.open import load_tracker
from lib.test.export.graphs import graph_files
from lib.test.tracker.crop_tracker import CropTracker
from lib.test.tracker.forward_pass import ONNX, Mode
from lib.test.tracker.onnx_pass import OnnxPass

ROOT = Path(__file__).parents[3]
TOLERANCE = 0.01  # pixels of a frame
SHOWN = ("ostrack-ce-GT_BOX", "TEST.CALIBRATE=true", "TEST.SIZE_RATE=0.5", "TEST.SEARCH_FACTOR=3.0")

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in PACKAGES), reason="needs the packages of [export]"
)
EXPORTED = [
    name for name in micro.TRAINED
    if name.split("-")[0] not in (*micro.SIAMESE, *micro.LEARNERS) and not name.endswith("-long")
]  # fmt: skip


def open_micro(folder, *variant, **known):
    """The pass of a micro network, with graphs in a folder."""
    return open_graphs(micro.config(*variant), "micro", lambda: micro.model(*variant), folder=folder, **known)


def as_tracker(forward):
    return CropTracker(forward.method, "cpu", Mode(backend=ONNX), forward=forward)


def sequences(count=3, length=6):
    return [
        moving_sequence(f"s{k}", length, (3 + k, 2 - k), colour=(60 * k, 200, 90, 30, 80 * k, 250))
        for k in range(count)
    ]


def differences(tracker, other, shown):
    """Pixels between the boxes of two trackers: together, and the second one alone."""
    expected = np.array(follow_together(tracker, shown))
    together = np.array(follow_together(other, shown))
    alone = np.array([follow_together(other, [one])[0] for one in shown])
    assert np.ptp(expected[:, :, 2:], axis=1).max() > 10 * TOLERANCE  # the boxes do change
    return np.abs(together - expected).max(), np.abs(alone - expected).max()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def forward(folder):
    """The pass of a micro IIMF, whose graphs were made in `folder`."""
    return open_micro(folder, *SHOWN)


@needs_onnx
def test_boxes_equal_those_of_pytorch_alone_and_together(forward):
    assert max(differences(micro.tracker(*SHOWN), as_tracker(forward), sequences())) < TOLERANCE


@needs_onnx
def test_targets_scores_and_heat_maps_equal_too(forward):
    (sequence,), seen, moved = sequences(1), [], []
    for tracker in (micro.tracker(*SHOWN), as_tracker(forward)):
        targets = tracker.start([sequence.frames[0]], [sequence.boxes[0]])
        moved += tracker.track(targets, [sequence.frames[1]], lambda *shown: seen.append(shown[2][0]))
    np.testing.assert_allclose(moved[1].score, moved[0].score, atol=1e-5)
    assert moved[1].found == moved[0].found and tree.names(moved[1].state.memory) == ["tokens", "judges"]
    np.testing.assert_allclose(moved[1].state.settings.bias, moved[0].state.settings.bias, atol=1e-4)
    np.testing.assert_allclose(seen[1].scores, seen[0].scores, atol=1e-5)
    np.testing.assert_allclose(seen[1].region, seen[0].region, atol=1e-5)


@needs_onnx
def test_a_target_of_one_backend_goes_on_in_the_other(forward):
    (sequence,), first, second = sequences(1), micro.tracker(*SHOWN), as_tracker(forward)
    targets = first.start([sequence.frames[0]], [sequence.boxes[0]])
    expected, found = (tracker.track(targets, [sequence.frames[1]])[0].box for tracker in (first, second))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@needs_onnx
def test_graphs_are_made_once_for_each_content(forward, folder, monkeypatch):
    def refuse():
        raise AssertionError("the network was loaded")

    cfg, (kept,) = micro.config(*SHOWN), list(folder.iterdir())
    open_graphs(cfg, "micro", refuse, folder=folder)
    made = []
    monkeypatch.setattr(graph_cache, "_make", lambda cfg, load, place, source: made.append(place))
    monkeypatch.setattr(graph_cache, "OnnxFile", lambda path, threads: path)
    open_graphs(cfg, "others", refuse, folder=folder)
    open_graphs(micro.config(*SHOWN, "TEST.SEARCH_FACTOR=3.5"), "micro", refuse, folder=folder)
    monkeypatch.setattr(graph_cache, "_CODE", ("core",))
    open_graphs(cfg, "micro", refuse, folder=folder)
    assert len({kept, *made}) == 4
    monkeypatch.undo()
    open_graphs(micro.config(*SHOWN, "TRAIN.LR=1.0"), "micro", refuse, folder=folder)


@needs_onnx
def test_graphs_beside_the_weights_come_first_if_they_were_made_from_them(forward, folder, tmp_path):
    (kept,) = folder.iterdir()
    for name, path in graph_files(tmp_path, "small_").items():
        path.write_bytes(graph_files(kept)[name].read_bytes())
    source, beside = graph_cache.describe_source(micro.config(*SHOWN), "micro"), tmp_path / "small.safetensors"
    assert set(graph_cache._open_shipped(beside, source)) == {"template", "search"}
    assert graph_cache._open_shipped(beside, source | {"weights": "others"}) is None
    assert graph_cache._open_shipped(tmp_path / "large.safetensors", source) is None


@needs_onnx
def test_a_session_has_no_more_threads_than_pytorch(forward):
    assert forward._search._session.get_session_options().intra_op_num_threads == min(
        torch.get_num_threads(), onnx_file.usable_cores()
    )


@needs_onnx
def test_pytorch_has_one_thread_beside_onnx_runtime(forward, monkeypatch):
    """Its others would wait busily for work on the cores that ONNX Runtime needs."""
    (sequence,), seen, compute = sequences(1), [], OnnxPass.__call__

    def watched(*given):
        seen.append(torch.get_num_threads())
        if len(seen) > 1:
            raise InputError("stop")
        return compute(*given)

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setattr(OnnxPass, "__call__", watched)
    try:
        targets = as_tracker(forward).start([sequence.frames[0]], [sequence.boxes[0]])
        with pytest.raises(InputError, match="stop"):
            as_tracker(forward).track(targets, [sequence.frames[1]])
        assert seen == [1, 1] and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@needs_onnx
def test_graphs_that_differ_from_the_network_are_not_kept(tmp_path, monkeypatch):
    def write_checked(method, files, **known):
        files["search"].write_bytes(b"half")
        raise InputError("the exported network's boxes differ")

    monkeypatch.setattr(graph_cache, "write_checked", write_checked)
    with pytest.raises(InputError, match="boxes differ"):
        open_micro(tmp_path, "ostrack")
    assert not list(tmp_path.iterdir())


@needs_onnx
def test_what_cannot_be_exported_kept_or_read_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no graph fits its correlation"):
        open_micro(tmp_path, "dasiamrpn")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="graphs cannot be kept there .*; set RGBT_CACHE to a folder"):
        open_micro(tmp_path / "file", "ostrack")
    monkeypatch.setattr(graph_cache, "_make", lambda cfg, load, place, source: place.mkdir())
    with pytest.raises(InputError, match="template.onnx: ONNX Runtime cannot read it"):
        open_micro(tmp_path, "ostrack")


def test_without_onnx_runtime_one_line_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(InputError, match=r"ONNX needs onnxruntime; install with: pip install -e '.\[export\]'"):
        open_micro(tmp_path, "ostrack")


@pytest.mark.parametrize(
    ("mode", "device", "message"),
    [
        (Mode("bf16"), "cpu", "--backend onnxruntime: computes in fp32; leave --precision bf16 out"),
        (Mode(compiled=True), "cpu", "--backend onnxruntime: --compile is for PyTorch"),
        (Mode(), "cuda", "--backend onnxruntime: computes on the processor, not on cuda; add --device cpu"),
    ],
)
def test_options_that_contradict_the_backend_are_refused(mode, device, message):
    with pytest.raises(InputError, match=message):
        replace(mode, backend=ONNX).check(device)


@pytest.mark.parametrize("mode", [Mode(backend=ONNX), Mode("bf16"), Mode(crops="fast"), Mode(compiled=True)])
def test_a_tracker_without_a_network_takes_no_mode_of_networks(mode):
    cfg = load_config("opencv", "static")
    with pytest.raises(InputError, match="static: has no network of this toolbox; leave --precision"):
        load_tracker(cfg, None, "cpu", mode)
    load_tracker(cfg, None, "cpu", Mode(batch=4))


@pytest.mark.parametrize("variant", EXPORTED)
def test_a_network_without_values_has_the_memory_of_a_real_one(variant):
    cfg = micro.config(variant)
    with torch.device("meta"):
        hollow = OnnxPass(build_method(build_model(cfg).eval(), cfg), None, None)
    with torch.inference_mode():
        pixels = torch.zeros_like(hollow._blank(hollow.method.template_size), device="cpu")
        real = micro.tracker(variant).method.begin(pixels, torch.ones(1, 1, 4))
        assert tree.names(hollow._memory) == tree.names(real) and type(hollow._memory) is type(real)


@needs_onnx
@pytest.mark.slow
def test_a_memory_that_changes_is_carried_on(monkeypatch, tmp_path):
    answer = OneView.answer

    def learned(boxes, scores, memory, prediction):
        return answer(boxes, scores, memory._replace(judges=memory.judges + 1), prediction)

    monkeypatch.setattr(OneView, "answer", staticmethod(learned))
    tracker = as_tracker(open_micro(tmp_path, "ostrack-ce-GT_BOX"))
    (sequence,) = sequences(1)
    (target,) = tracker.start([sequence.frames[0]], [sequence.boxes[0]])
    (moved,) = tracker.track([target], [sequence.frames[1]])
    torch.testing.assert_close(moved.state.memory.judges, target.state.memory.judges + 1)


#: Making graphs takes half a minute, those of SiamDMA minutes: one of each family in every run.
_USUAL = ("ostrack-ce-GT_BOX", "tbsi_track", "iimf_track", "fear", "iimf_lite")
_GRAPHS = [
    name if name in _USUAL else pytest.param(name, marks=pytest.mark.long)
    for name in EXPORTED
    if not name.startswith("siamdma-")
]


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("variant", _GRAPHS)
def test_every_tracker_that_exports_gives_the_same_boxes(variant, tmp_path):
    together, alone = differences(micro.tracker(variant), as_tracker(open_micro(tmp_path, variant)), sequences())
    assert max(together, alone) < TOLERANCE


@needs_onnx
@pytest.mark.slow
def test_the_bundled_model_follows_the_bundled_sequence_with_the_same_boxes(tmp_path, monkeypatch):
    monkeypatch.setenv("RGBT_CACHE", str(tmp_path))
    given = load_config("iimf_track", "tiny"), ROOT / "pretrained_models/iimf_tiny.safetensors", "cpu"
    (sequence,) = read_folder(ROOT / "docs/demo_sequence")
    expected, found = (follow_together(load_tracker(*given, mode), [sequence]) for mode in (Mode(), Mode(backend=ONNX)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@needs_onnx
@pytest.mark.slow
def test_a_target_of_one_camera_has_graphs_of_its_own(tmp_path, caplog):
    caplog.set_level("INFO")
    forward, exact = open_micro(tmp_path, "iimf_lite"), micro.tracker("iimf_lite")
    (sequence,) = sequences(1)
    both = [sequence.frames[k] for k in range(3)]
    alone = [[np.zeros_like(visible), infrared] for visible, infrared in both]
    assert len(list(tmp_path.iterdir())) == 1
    for shown, graphs in ((both, 1), (alone, 2), (alone, 2)):
        moved = []
        for tracker in (exact, as_tracker(forward)):
            targets = tracker.start([shown[0]], [sequence.boxes[0]])
            for images in shown[1:]:
                targets = tracker.track(targets, [images])
            moved.append(targets[0])
        np.testing.assert_allclose(moved[1].box, moved[0].box, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(moved[1].score, moved[0].score, atol=1e-5)
        assert len(list(tmp_path.iterdir())) == graphs
    assert "making graphs of iimf_lite (infrared alone) for ONNX Runtime" in caplog.text
    both_cameras, one = (
        each._search._session.get_session_options() for each in (forward, forward._variant("infrared"))
    )
    assert one.intra_op_num_threads == both_cameras.intra_op_num_threads
    mixed = as_tracker(forward).start([both[0], alone[0]], [sequence.boxes[0]] * 2)
    mixed = as_tracker(forward).track(mixed, [both[1], alone[1]])
    expected = exact.track(exact.start([alone[0]], [sequence.boxes[0]]), [alone[1]])[0]
    np.testing.assert_allclose(mixed[1].box, expected.box, rtol=0, atol=TOLERANCE)
