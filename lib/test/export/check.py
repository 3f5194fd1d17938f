"""Checking exported files: they are run, and their outputs are compared with the network's."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...core.errors import InputError
from ...models.method import Method
from .graphs import SUFFIX, Graph, pictures

#: Inputs by name -> outputs by name; inputs that it does not need are ignored.
Runner = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]

#: Largest difference to the float32 network: boxes in units of the search region's side, scores and maps in [0, 1];
#: of outputs with larger values, such as distances in pixels, a share of the largest.
TOLERANCE = {"fp32": 1e-4, "fp16": 5e-3}


@torch.no_grad()
def compare(graphs: Mapping[str, Graph], files: Mapping[str, Path], method: Method) -> dict[str, float]:
    """Output -> largest difference between the files, run by ONNX Runtime or torch, and the network.

    graphs: in float32, also where the files hold float16. One target and three targets are compared.
    """
    first, second = (open_graph(files[name], graphs[name]) for name in ("template", "search"))
    worst = dict.fromkeys(graphs["search"].outputs, 0.0)
    for count in (1, 3):
        given = pictures(method, count)
        expected = run_graph(graphs["search"], {**given, **run_graph(graphs["template"], given)})
        found = second({**given, **first(given)})
        for name in worst:
            scale = max(1.0, float(expected[name].abs().max()))
            worst[name] = max(worst[name], float((expected[name] - found[name]).abs().max()) / scale)
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
    return _open_torch(path, graph) if path.suffix == SUFFIX["torch"] else _open_onnx(path)


def _open_torch(path: Path, graph: Graph) -> Runner:
    module = torch.export.load(path).module()
    return lambda given: dict(zip(graph.outputs, module(*(given[name] for name in graph.inputs)), strict=True))


def _open_onnx(path: Path) -> Runner:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs, outputs = ([value.name for value in values] for values in (session.get_inputs(), session.get_outputs()))

    def answer(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        arrays = session.run(None, {name: given[name].numpy() for name in inputs})
        return {name: torch.from_numpy(array) for name, array in zip(outputs, arrays, strict=True)}

    return answer
