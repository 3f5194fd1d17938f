"""Checking exported files: they are run, and their outputs are compared with the network's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...core.errors import InputError
from ...core.onnx_file import OnnxFile
from ...models.method import Method
from .graphs import SUFFIX, Graph, describe, make_graphs, pictures, write_graph

#: Inputs by name -> outputs by name; inputs that it does not need are ignored.
Runner = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]

#: Largest difference to the float32 network: boxes in units of the search region's side, scores and maps in [0, 1];
#: of outputs with larger values, such as distances in pixels, a share of the largest.
TOLERANCE = {"fp32": 1e-4, "fp16": 5e-3}


def write_checked(
    method: Method, files: Mapping[str, Path], *, precision: str = "fp32", box_tolerance: float = 1.0, **known: Any
) -> dict[str, float]:
    """Write graphs of a method and compare them with its network: output -> largest difference.

    known: for the metadata of the files. Raises InputError for methods that cannot be exported, and for files that
    differ by more than `TOLERANCE`, or in a box by more than `box_tolerance`; the files must then be thrown away.
    """
    graphs = make_graphs(method)
    written = graphs if precision == "fp32" else make_graphs(method, precision)
    for name, path in files.items():
        write_graph(written[name], path, describe(method, precision=precision, **known))
    worst = compare(graphs, files, method)
    check(worst, TOLERANCE[precision])
    check({"boxes": worst["boxes"]}, box_tolerance)
    return worst


@torch.no_grad()
def compare(graphs: Mapping[str, Graph], files: Mapping[str, Path], method: Method) -> dict[str, float]:
    """Output -> largest difference between the files, run by ONNX Runtime or torch, and the network. Outputs of other
    graphs than "search" have the graph's name before theirs.

    graphs: in float32, also where the files hold float16. One target and three targets are compared.
    """
    opened = {name: open_graph(path, graphs[name]) for name, path in files.items()}
    worst: dict[str, float] = {}
    for count in (1, 3):
        given = pictures(method, count)
        kept, made = run_graph(graphs["template"], given), opened["template"](given)
        for part in [name for name in files if name != "template"]:
            expected, found = run_graph(graphs[part], {**given, **kept}), opened[part]({**given, **made})
            for name in graphs[part].outputs:
                scale = max(1.0, float(expected[name].abs().max()))
                label = name if part == "search" else f"{part} {name}"
                difference = float((expected[name] - found[name]).abs().max()) / scale
                worst[label] = max(worst.get(label, 0.0), difference)
    return worst


def check(worst: Mapping[str, float], tolerance: float) -> None:
    """Raises InputError when a difference is above `tolerance` or not finite."""
    for name, difference in worst.items():
        if not difference <= tolerance:
            raise InputError(
                f"the exported network's {name} differ by {difference:.2g}, more than {tolerance:g}; nothing was kept"
            )


def run_graph(graph: Graph, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The outputs of a graph, computed by its own network."""
    return dict(zip(graph.outputs, graph.module(*(given[name] for name in graph.inputs)), strict=True))


def open_graph(path: Path, graph: Graph) -> Runner:
    """An exported graph, ready to run on the CPU."""
    return _open_torch(path, graph) if path.suffix == SUFFIX["torch"] else OnnxFile(path)


def _open_torch(path: Path, graph: Graph) -> Runner:
    module = torch.export.load(path).module()
    return lambda given: dict(zip(graph.outputs, module(*(given[name] for name in graph.inputs)), strict=True))
