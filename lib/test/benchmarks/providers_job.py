"""Compares ONNX Runtime's providers (CUDA, TensorRT) with its CPU provider on one network, in a separate process, as
`deploy/onnx_tracking` uses them.

Every provider starts where the CPU's is and takes one step, in every frame. What is not installed is said.

A job holds script, config, set, checkpoint (""; then weights are random), providers, data_dir, frames (steps), folder
(for the graphs), device (of the page; the provider chooses its own), threads, cache.
"""

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ...core.checkpoint import load_weights
from ...core.config import load_config
from ...core.errors import InputError
from ...core.measure.job import MeasurementJob, answer_job
from ...core.onnx_file import check_packages
from ...core.paths import ROOT
from ...datasets.readers.folder import read_folder
from ...models import build_model
from ...models.base import Network
from ...models.weights import load_state
from ..evaluation.graph_cache import open_graphs
from ..evaluation.record import digest
from .modes_job import compare_boxes

CPU = "CPUExecutionProvider"
DEPLOYED = ROOT / "deploy" / "onnx_tracking"


def measure(job: MeasurementJob) -> MeasurementJob:
    """Provider -> seconds until the first frame is done and of each later one, and how far its boxes are from the
    CPU's; or why there is none."""
    try:
        check_packages()
    except InputError as error:
        return {"providers": {name: {"error": str(error)} for name in job["providers"]}}
    import onnxruntime

    deployed, graphs = load_deployed(), write_graphs(job)
    sequence = read_folder(job["data_dir"])[0]
    answers: dict[str, Any] = {}
    plain: list[np.ndarray] = []
    for name in (CPU, *job["providers"]):
        if name not in onnxruntime.get_available_providers():
            answers[name] = {"error": "not in the installed onnxruntime; onnxruntime-gpu has it"}
            continue
        begin = time.perf_counter()
        tracker = deployed.OnnxTracker(graphs, [name], job["threads"])
        chosen = tracker.second.get_providers()[0]
        if chosen != name:  # ONNX Runtime warns and goes on
            answers[name] = {"error": f"its libraries are missing; ONNX Runtime used {chosen}"}
            continue
        target = tracker.start(np.concatenate(sequence.frames[0], axis=2), sequence.boxes[0])
        seconds, boxes = [], []
        for step in range(1, job["frames"] + 1):
            target.box = plain[step - 2] if plain and step > 1 else target.box
            frame = np.concatenate(sequence.frames[step], axis=2)
            boxes.append(tracker.track(target, frame))
            seconds.append(time.perf_counter() - begin)
            begin = time.perf_counter()
        plain = plain or boxes
        compared = compare_boxes(np.array(boxes), np.array(plain))
        answers[name] = {"first_s": seconds[0], "frame_s": seconds[1:], **compared}
    return {"providers": answers, "version": onnxruntime.__version__}


def load_deployed() -> ModuleType:
    """deploy/onnx_tracking, which belongs to no package."""
    spec = importlib.util.spec_from_file_location(
        DEPLOYED.name, DEPLOYED / "__init__.py", submodule_search_locations=[str(DEPLOYED)]
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_graphs(job: MeasurementJob) -> Path:
    """The folder of the graphs, made where it is not there yet."""
    cfg, folder = load_config(job["script"], job["config"], job["set"]), Path(job["folder"])
    folder.mkdir(parents=True, exist_ok=True)

    def load() -> Network:
        torch.manual_seed(0)
        network = build_model(cfg)
        if job["checkpoint"]:
            load_state(network, load_weights(job["checkpoint"]), source=job["checkpoint"])
        return network

    open_graphs(cfg, digest(job["checkpoint"]) if job["checkpoint"] else "random", load, folder=folder)
    (made,) = folder.iterdir()
    return made


if __name__ == "__main__":
    answer_job(measure)
