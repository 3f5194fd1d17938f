"""SiamRPN's network as the three files of OpenCV's TrackerDaSiamRPN: the network, and one file for each kind of kernel.

C channels of the trunk, A anchors. The names of tensors are those that OpenCV reads.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.atomic import write_atomically
from ...core.errors import InputError
from ...core.view import EXEMPLAR
from ...models.siamese.siamrpn import SiamRPN

#: Fixed in OpenCV's code: channels of the trunk, anchors, side of the search region.
CHANNELS, ANCHORS, SEARCH_SIZE = 256, 5, 271
FILES = {"model": "dasiamrpn_model.onnx", "cls": "dasiamrpn_kernel_cls1.onnx", "loc": "dasiamrpn_kernel_r1.onnx"}

_FEATURES, _LOC_SEARCH, _LOC, _DELTAS, _CLS_SEARCH, _LOGITS = "63", "64", "65", "66", "67", "68"
_OPSET, _IR = 11, 8
_NORM = ("running_mean", "running_var", "weight", "bias")


def check_network(model: nn.Module) -> SiamRPN:
    """The network, if OpenCV's tracker can run it. Raises InputError otherwise."""
    if not isinstance(model, SiamRPN):
        raise InputError(f"--format opencv: {type(model).__name__} is not of the SiamRPN family; use --format onnx")
    channels, anchors = model.backbone.channels, model.rpn_head.anchors
    if (channels, anchors) != (CHANNELS, ANCHORS):
        raise InputError(
            f"--format opencv: {channels} channels and {anchors} anchors; OpenCV's tracker knows networks of "
            f"{CHANNELS} and {ANCHORS} alone, such as siamrpn_vot"
        )
    return model


def write_opencv(model: SiamRPN, folder: Path) -> dict[str, Path]:
    """Write the three files; returns their paths by the keys of `FILES`."""
    head = model.rpn_head
    graphs = {
        "model": _network(model),
        "cls": _kernels(head.template_cls_conv, float(head.corr_scale)),
        "loc": _kernels(head.template_loc_conv, float(head.corr_scale)),
    }
    paths = {name: folder / file for name, file in FILES.items()}
    for name, graph in graphs.items():
        with write_atomically(paths[name]) as temporary:
            temporary.write_bytes(graph.SerializeToString())
    return paths


@torch.no_grad()
def compare_opencv(model: SiamRPN, paths: dict[str, Path]) -> dict[str, float]:
    """Output -> largest difference between the files, run by ONNX Runtime, and the network, as a share of the largest
    value."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # no warnings that weights are inputs: here they have to be
    sessions = {name: onnxruntime.InferenceSession(path, options) for name, path in paths.items()}
    random = torch.Generator().manual_seed(0)
    z, x = (torch.randint(0, 256, (1, 1, 3, side, side), generator=random).float() for side in (EXEMPLAR, SEARCH_SIZE))
    expected = model(model.embed(z), x)
    feature = model.backbone(z[:, 0]).numpy()
    kernels = {
        name: sessions[name].run(None, {"input": feature})[0].reshape(-1, CHANNELS, 4, 4) for name in ("cls", "loc")
    }
    deltas, logits = sessions["model"].run([_DELTAS, _LOGITS], {"input": x[:, 0].numpy(), **kernels})
    pairs = {"logits": (expected.logits, logits), "deltas": (expected.deltas, deltas)}
    return {
        name: float((ours.flatten(1, 2) - torch.from_numpy(theirs)).abs().max() / ours.abs().max())
        for name, (ours, theirs) in pairs.items()
    }


class _Graph:
    """An ONNX graph. Its nodes have no names, so that OpenCV names each by its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: dict[str, np.ndarray] = {}

    def convolve(self, source: str, target: str, weight: Tensor, bias: Tensor, stride: int = 1) -> str:
        """Add a convolution; returns `target`."""
        names = [f"{target}.weight", f"{target}.bias"]
        self.weights |= {
            name: value.detach().float().numpy() for name, value in zip(names, (weight, bias), strict=True)
        }
        return self.add("Conv", [source, *names], target, kernel_shape=list(weight.shape[2:]), strides=[stride] * 2)

    def add(self, kind: str, sources: list[str], target: str, **attributes: Any) -> str:
        """Add a node; returns `target`."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, sources, [target], **attributes))
        return target

    def build(self, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]]) -> Any:
        """The model. inputs, outputs: name -> shape."""
        from onnx import TensorProto, helper, numpy_helper

        given, made = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()]
            for values in (inputs, outputs)
        )
        weights = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, "siamrpn", given, made, weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)


def _kernels(convolution: nn.Conv2d, scale: float) -> Any:
    """Template features -> kernels, [1, K C, 4, 4]."""
    graph = _Graph()
    graph.convolve("input", "kernels", convolution.weight * scale, _bias(convolution) * scale)
    return graph.build({"input": [1, CHANNELS, 6, 6]}, {"kernels": [1, convolution.out_channels, 4, 4]})


def _network(model: SiamRPN) -> Any:
    """Image -> features, box corrections and logits. The kernels are weights that OpenCV replaces, and inputs for other
    programs."""
    graph, head = _Graph(), model.rpn_head
    feature = _trunk(graph, model.backbone.features)
    graph.weights["loc"] = np.zeros((4 * ANCHORS, CHANNELS, 4, 4), np.float32)
    graph.weights["cls"] = np.zeros((2 * ANCHORS, CHANNELS, 4, 4), np.float32)
    for search, source, kernel, target in (
        (head.search_loc_conv, _LOC_SEARCH, "loc", _LOC),
        (head.search_cls_conv, _CLS_SEARCH, "cls", _LOGITS),
    ):
        graph.convolve(feature, source, search.weight, _bias(search))
        graph.add("Conv", [source, kernel], target, kernel_shape=[4, 4])
        if target == _LOC:
            graph.convolve(_LOC, _DELTAS, head.loc_adjust.weight, _bias(head.loc_adjust))
    inputs: dict[str, list[Any]] = {"input": [1, 3, "side", "side"]}
    inputs |= {name: list(graph.weights[name].shape) for name in ("loc", "cls")}
    shapes: dict[str, list[Any]] = {_DELTAS: [1, 4 * ANCHORS, "n", "n"], _LOGITS: [1, 2 * ANCHORS, "n", "n"]}
    return graph.build(inputs, shapes)


def _trunk(graph: _Graph, layers: nn.Sequential) -> str:
    """The trunk's layers, BatchNorm folded into the convolution before it; returns the features' name."""
    source, made = "input", list(layers)
    for index, layer in enumerate(made):
        target = _FEATURES if index >= len(made) - 2 else f"t{index}"
        if isinstance(layer, nn.Conv2d):
            source = graph.convolve(source, target, *_fold(layer, made[index + 1]), stride=layer.stride[0])
        elif isinstance(layer, nn.MaxPool2d):
            source = graph.add("MaxPool", [source], target, kernel_shape=[3, 3], strides=[2, 2])
        elif isinstance(layer, nn.ReLU):
            source = graph.add("Relu", [source], target)
    return source


def _fold(convolution: nn.Conv2d, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution and the BatchNorm behind it."""
    mean, variance, gain, shift = (getattr(norm, name).double() for name in _NORM)
    factor = gain / (variance + norm.eps).sqrt()
    weight = convolution.weight.double() * factor[:, None, None, None]
    return weight, (_bias(convolution).double() - mean) * factor + shift


def _bias(convolution: nn.Conv2d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias
