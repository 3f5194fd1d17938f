import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import golden
import micro
import numpy as np
import pytest
import torch

from lib.core.boxes import xywh_to_cxcywh
from lib.core.config import load_config
from lib.core.crop import cut
from lib.core.errors import InputError
from lib.core.frame import Frame
from lib.core.onnx_file import PACKAGES, check_packages, memory_names
from lib.test.evaluation.open import load_tracker
from lib.test.export.check import TOLERANCE, check, compare, run_graph, write_checked
from lib.test.export.graphs import META, Graph, describe, graph_files, make_graphs, pictures, write_graph

ROOT = Path(__file__).parents[3]
SEVERAL = ("ostrack-ce-GT_BOX", "ostrack-corner", "iimf_track", "siamdma")

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in PACKAGES), reason="needs the packages of [export]"
)


def export(variant, folder, suffix=".onnx", precision="fp32"):
    """A micro network, its parts and its files."""
    method = micro.tracker(variant).method
    parts = make_graphs(method)
    files = {name: folder / f"{name}{suffix}" for name in parts}
    for name, part in make_graphs(method, precision).items():
        write_graph(part, files[name], describe(method, config=variant))
    return parts, files, compare(parts, files, method)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A micro IIMF by torch.export: parts, files, differences."""
    return export("iimf_track", tmp_path_factory.mktemp("torch"), ".pt2")


def test_torch_export_says_what_the_network_says(exported):
    _, files, worst = exported
    check(worst, TOLERANCE["fp32"])
    assert list(worst) == ["boxes", "scores", "found", "score_map", "size_map", "offset_map"]
    extra = {META: ""}
    torch.export.load(files["search"], extra_files=extra)
    assert json.loads(extra[META])["search_size"] == micro.config("iimf_track").TEST.SEARCH_SIZE


@torch.no_grad()
def test_the_files_give_a_user_of_the_tracker_the_same_boxes(exported):
    """Crops are cut by hand, visible before infrared and red first, and the box is taken to the frame by hand."""
    files, tracker = exported[1], micro.tracker("iimf_track")
    method, frames = tracker.method, [Frame(golden.frame(seed, 2, 120, 160), (120, 160)) for seed in (1, 2)]
    (target,) = tracker.start([frames[0].images], [np.array([60.0, 40.0, 30.0, 24.0])])
    (moved,) = tracker.track([target], [frames[1].images])

    def crops(frame, view):
        return torch.from_numpy(np.concatenate([cut(image, view) for image in frame.images], axis=2)[None])

    def run(name, *inputs):
        return torch.export.load(files[name]).module()(*inputs)

    (first,), (view,) = method.first_views(target, frames[0]), method.views(target, frames[1])
    inside = torch.tensor(xywh_to_cxcywh(first.to_crop(target.box)), dtype=torch.float32)[None]
    prior = torch.tensor(view.prior, dtype=torch.float32)[None]
    boxes, scores, *_ = run("search", *run("template", crops(frames[0], first), inside), crops(frames[1], view), prior)
    box = method.clip(view.to_frame(boxes[0].double().numpy()), frames[1].size)
    np.testing.assert_allclose(box, moved.box, rtol=0, atol=0.01)
    assert scores.item() == pytest.approx(moved.score, abs=1e-4)


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "precision"),
    [pytest.param(variant, "fp32", marks=pytest.mark.long if variant == "siamdma" else ()) for variant in SEVERAL]
    + [("iimf_track", "fp16"), ("fear", "fp16")],
)
def test_onnx_says_what_the_network_says(variant, precision, tmp_path):
    _, _, worst = export(variant, tmp_path, precision=precision)
    check(worst, TOLERANCE[precision])
    assert max(worst.values()) > 0  # two programs never agree in every bit: these are not the same computation twice


@needs_onnx
@pytest.mark.slow
def test_iimf_lite_in_float16(tmp_path):
    """With its weights: among the nearly equal cells of a random network float16 chooses others."""
    weights = ROOT / "pretrained_models/iimf_lite_xs.safetensors"
    method = load_tracker(load_config("iimf_lite", "xs"), weights, "cpu").method
    worst = write_checked(method, graph_files(tmp_path), precision="fp16")
    assert worst["new_agreement"] > 0


@needs_onnx
def test_an_onnx_file_tells_how_to_use_it_and_asks_for_nothing_it_ignores(tmp_path):
    import onnxruntime

    _, files, worst = export("tbsi_track", tmp_path)
    check(worst, TOLERANCE["fp32"])
    sessions = {name: onnxruntime.InferenceSession(path) for name, path in files.items()}
    assert [value.name for value in sessions["template"].get_inputs()] == ["template"]
    assert [value.name for value in sessions["search"].get_inputs()] == ["tokens", "search"]
    assert sessions["search"].get_inputs()[1].shape[1:] == [64, 64, 6]
    known = json.loads(sessions["search"].get_modelmeta().custom_metadata_map[META])
    assert known["geometry"] == "FamilyGeometry" and known["modalities"] == 2 and known["margin"] == 10
    assert known["template_factor"] == 2 and known["config"] == "tbsi_track"


def test_a_file_of_another_network_is_found_out(exported):
    other = micro.tracker("iimf_track", seed=1).method
    worst = compare(make_graphs(other), exported[1], other)
    with pytest.raises(InputError, match="differ by .*more than 0.0001; nothing was kept"):
        check(worst, TOLERANCE["fp32"])


def test_a_difference_that_is_not_a_number_is_no_agreement():
    with pytest.raises(InputError, match="boxes differ by nan"):
        check({"boxes": float("nan")}, 1e-4)


def learning_method(monkeypatch, change):
    """A method that changes a part of its memory in every frame."""
    method = micro.tracker("ostrack-ce-GT_BOX").method
    answer = method.answer

    def learned(boxes, scores, memory, prediction):
        return answer(boxes, scores, memory._replace(judges=change(memory.judges)), prediction)

    monkeypatch.setattr(method, "answer", learned)
    return method


class Named(NamedTuple):
    template: torch.Tensor
    judges: torch.Tensor


@pytest.mark.parametrize("variant", ["tbsi_track", "fear", "iimf_lite", "siamdma"])
def test_no_output_has_the_name_of_an_input(variant):
    for graph in make_graphs(micro.tracker(variant).method).values():
        assert not graph.inputs.keys() & set(graph.outputs)
    assert memory_names(Named(torch.ones(1), torch.ones(1))) == ["template_memory", "judges"]


class FixedBatch(torch.nn.Module):
    def forward(self, box):
        return torch.arange(len(box)) + box[:, 0]


def test_a_network_for_a_fixed_number_of_targets_is_one_line(tmp_path):
    graph = Graph(FixedBatch(), {"box": torch.zeros(2, 4)}, ["places"])
    with pytest.raises(InputError, match=r"cannot be exported for any number of targets \(.+\)$"):
        write_graph(graph, tmp_path / "template.pt2", "")
    assert not list(tmp_path.iterdir())


def test_what_a_tracker_learns_by_tensors_leaves_the_graph(monkeypatch):
    search = make_graphs(learning_method(monkeypatch, lambda judges: judges + 1))["search"]
    assert search.outputs[-2:] == ["new_tokens", "new_judges"]
    said = dict(zip(search.outputs, search.module(*search.inputs.values()), strict=True))
    torch.testing.assert_close(said["new_judges"], search.inputs["judges"] + 1)


@pytest.mark.parametrize(
    ("change", "gradients"),
    [(lambda judges: judges + 1, True), (lambda judges: judges[:, 1:], False), (lambda judges: None, False)],
    ids=["by gradients", "of another size", "not a tensor"],
)
def test_a_tracker_that_learns_otherwise_is_refused(monkeypatch, change, gradients):
    method = learning_method(monkeypatch, change)
    method.needs_gradients = gradients
    with pytest.raises(InputError, match="learns while it tracks"):
        make_graphs(method)


def test_missing_packages_are_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr("lib.core.onnx_file.find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(InputError, match=r"ONNX needs onnxruntime; install with: pip install -e '.\[export\]'"):
        check_packages()


@pytest.mark.slow
def test_the_command_compares_before_it_keeps_and_never_overwrites(tmp_path):
    command = [sys.executable, str(ROOT / "tracking/export.py"), "iimf_track", "tiny", "--format", "torch"]
    command += ["--checkpoint", str(ROOT / "pretrained_models/iimf_tiny.safetensors"), "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"template.pt2", "search.pt2"}
    assert "boxes: largest difference" in done.stdout
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 1 and "exists already" in again.stderr


def test_a_refiner_has_a_third_graph_that_computes_the_mask():
    """Its inputs and its box are those of the search graph."""
    method = micro.tracker("alpha_refine").method
    parts, given = make_graphs(method), pictures(method, 2)
    assert list(parts) == ["template", "search", "mask"]
    assert parts["mask"].outputs == [*parts["search"].outputs, "mask"]
    kept = run_graph(parts["template"], given)
    box, mask = (run_graph(parts[name], {**given, **kept}) for name in ("search", "mask"))
    assert torch.equal(box["boxes"], mask["boxes"]) and mask["mask"].shape == (2, 1, 128, 128)
    assert "mask" not in make_graphs(micro.tracker("alpha_refine-corners").method)


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_files_of_a_refiner(tmp_path, suffix):
    parts, files, worst = export("alpha_refine", tmp_path, suffix)
    check(worst, TOLERANCE["fp32"])
    assert list(files) == ["template", "search", "mask"]
    assert set(worst) == {*parts["search"].outputs, *(f"mask {name}" for name in parts["mask"].outputs)}
