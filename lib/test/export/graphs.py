"""A tracker's network as two graphs for other programs: template -> memory, and memory + search region -> box.

Both take uint8 RGB crops, visible before infrared; normalisation and the choice of the box are inside the graphs. The
files describe how to cut the crops (`META`). B targets (any number), M modalities, S side of a crop in pixels.
"""

import contextlib
import copy
import json
import logging
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ...core import tree
from ...core.atomic import write_atomically
from ...core.errors import InputError
from ...core.onnx_file import memory_names
from ...models.method import Method

#: Name of the metadata in a file that describes how its crops are cut, as JSON.
META = "rgbt_tracking"
SUFFIX = {"onnx": ".onnx", "torch": ".pt2"}

_OPSET = 18
_MOST_TARGETS = 4096  # of one pass
_LARGEST = 1.9e9  # bytes of weights: an ONNX file holds at most 2 GiB


class TemplateGraph(nn.Module):
    """template [B, S, S, 3 M] uint8, box [B, 4] cxcywh in units of it -> the memory's tensors"""

    def __init__(self, method: Method):
        super().__init__()
        self.network, self.method = method.network, method

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs and outputs in the order of the class's docstring."""
        template, box = inputs
        return tuple(tree.tensors(self.method.begin(_pixels(template), box[:, None])))


class SearchGraph(nn.Module):
    """The memory's tensors, search [B, S, S, 3 M] uint8, prior [B, 2] last width and height in units of it
    -> boxes [B, 4] cxcywh in units of it, scores [B], found [B] 1 or 0, the network's maps;
    the memory's new tensors where the method changes it"""

    def __init__(self, method: Method, memory: Any, maps: list[str], learns: bool):
        """memory: an example of the method's memory; its tensors are replaced by the inputs."""
        super().__init__()
        self.network, self.method, self.memory, self.maps, self.learns = method.network, method, memory, maps, learns

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs and outputs in the order of the class's docstring."""
        *memory, search, prior = inputs
        answer = self.method.search(tree.replace_tensors(self.memory, memory), _pixels(search), prior[:, None])
        named = dict(zip(tree.names(answer.prediction), tree.tensors(answer.prediction), strict=True))
        said = (answer.boxes, answer.scores, answer.found, *(named[name] for name in self.maps))
        return (*(value.float() for value in said), *(tree.tensors(answer.memory) if self.learns else ()))


@dataclass(frozen=True, eq=False)
class Graph:
    """One graph, with example inputs of two targets."""

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]


@torch.no_grad()
def make_graphs(method: Method, precision: str = "fp32") -> dict[str, Graph]:
    """The graphs "template" and "search" of a method whose network is in evaluation mode, on the CPU, and those of
    `Method.further_searches`.

    precision: fp32, or fp16 for weights and most of the arithmetic. Raises InputError for methods that cannot be
    exported, such as those that learn while they track.
    """
    method.graph_settings()
    example = pictures(method, 2)
    starting = {name: example[name] for name in ("template", "box")}
    memory = method.begin(_pixels(example["template"]), example["box"][:, None])
    answer = method.search(memory, _pixels(example["search"]), example["prior"][:, None])
    names, learns = memory_names(memory), answer.memory is not memory
    if learns and not _learns_by_tensors(method, memory, answer.memory):
        raise InputError("this tracker learns while it tracks, which a graph cannot; export it with that turned off")
    said = zip(tree.names(answer.prediction), tree.tensors(answer.prediction), strict=True)
    maps = [name for name, value in said if name != "boxes" and value.numel()]
    method = _halved(method) if precision == "fp16" else method
    first, second = TemplateGraph(method).eval(), SearchGraph(method, memory, maps, learns).eval()
    kept = dict(zip(names, first(*starting.values()), strict=True))
    looking = {**kept, "search": example["search"], "prior": example["prior"]}
    outputs = ["boxes", "scores", "found", *maps, *(f"new_{name}" for name in names if learns)]
    graphs = {"template": Graph(first, starting, names), "search": Graph(second, looking, outputs)}
    others = method.further_searches().items()
    return graphs | {name: make_graphs(other, precision)["search"] for name, other in others}


def pictures(method: Method, count: int) -> dict[str, Tensor]:
    """Fixed example inputs of both graphs: coloured blobs, and boxes near the middle."""
    random = np.random.default_rng(0)

    def crops(size: int) -> Tensor:
        coarse = random.integers(0, 256, (count, 8, 8, 3 * method.modalities), np.uint8)
        return torch.from_numpy(np.stack([cv2.resize(blobs, (size, size)) for blobs in coarse]))

    extent = torch.from_numpy(random.uniform(0.3, 0.6, (count, 2)).astype(np.float32))
    return {
        "template": crops(method.template_size),
        "box": torch.cat([torch.full((count, 2), 0.5), extent], dim=1),
        "search": crops(method.search_size),
        "prior": extent / 2,
    }


def describe(method: Method, **known: Any) -> str:
    """The metadata of the files as JSON: how crops are cut, the order of the channels."""
    return json.dumps({**known, "modalities": method.modalities, "channels": "RGB", **method.graph_settings()})


def write_graph(graph: Graph, path: Path, meta: str) -> None:
    """Write one graph for any number of targets, as ONNX or torch by the path's suffix.

    Raises InputError for weights that are too large for one ONNX file.
    """
    with _quiet(), write_atomically(path) as temporary:
        if path.suffix == SUFFIX["torch"]:
            with open(temporary, "wb") as file:
                torch.export.save(_trace(graph), file, extra_files={META: meta})
        else:
            _write_onnx(graph, temporary, meta)


def graph_files(folder: Path, prefix: str = "", kind: str = "onnx", more: Iterable[str] = ()) -> dict[str, Path]:
    """The files of the two graphs in a folder, and of those of `Method.further_searches`. kind: one of `SUFFIX`."""
    return {name: folder / f"{prefix}{name}{SUFFIX[kind]}" for name in ("template", "search", *more)}


def _learns_by_tensors(method: Method, old: Any, new: Any) -> bool:
    """Whether a graph can hold what the method learns: tensors of the same names and sizes, without gradients, and
    nothing outside the tree."""
    before, after = ([(part.shape, part.dtype) for part in tree.tensors(memory)] for memory in (old, new))
    same = tree.names(old) == tree.names(new) and before == after
    return same and not method.needs_gradients and not tree.owns(old)


def _pixels(crops: Tensor) -> Tensor:
    """[B, S, S, 3 M] uint8 -> [B, 1, M, 3, S, S]"""
    return crops.unflatten(3, (-1, 3)).permute(0, 3, 4, 1, 2)[:, None]


def _halved(method: Method) -> Method:
    """The method with a copy of its network in float16."""
    network = copy.deepcopy(method.network).half()
    network.dtype = torch.float16
    halved = copy.copy(method)
    halved.network = network
    return halved


def _write_onnx(graph: Graph, path: Path, meta: str) -> None:
    size = sum(weight.numel() * weight.element_size() for weight in graph.module.parameters())
    if size > _LARGEST:
        raise InputError(f"{path}: {size / 1e9:.1f} GB of weights do not fit an ONNX file; try --precision fp16")
    options: dict[str, Any] = {"dynamo": True, "opset_version": _OPSET, "verbose": False}
    options |= {"input_names": list(graph.inputs), "output_names": graph.outputs}
    made: Any = torch.onnx.export(_trace(graph), (), **options)
    for unused in [value for value in made.model.graph.inputs if not value.uses()]:
        made.model.graph.inputs.remove(unused)
    made.model.metadata_props[META] = meta
    made.save(path, external_data=False)


def _trace(graph: Graph) -> ExportedProgram:
    sizes = tuple({0: Dim("batch", min=1, max=_MOST_TARGETS)} for _ in graph.inputs)
    try:
        return torch.export.export(graph.module, tuple(graph.inputs.values()), dynamic_shapes=(sizes,))
    except Exception as error:  # the exporter raises many kinds
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise InputError(f"this tracker's network cannot be exported for any number of targets ({reason})") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings and log."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
