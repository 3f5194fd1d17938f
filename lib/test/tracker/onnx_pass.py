"""Forward passes of tracking by ONNX Runtime: a method's two exported graphs in place of its network.

B targets, M modalities, S side of a crop in pixels.
"""

from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ...core import tree
from ...core.onnx_file import OnnxFile, memory_names
from ...models.base import ScoreMap
from ...models.method import Method
from .forward_pass import Output


class OnnxPass:
    """As `forward_pass.ForwardPass`, by a template graph and a search graph (lib.test.export.graphs)."""

    def __init__(
        self,
        method: Method,
        template: OnnxFile,
        search: OnnxFile,
        open_variant: "Callable[[str], OnnxPass] | None" = None,
    ):
        """method: its network lies on the device "meta", which has shapes and no weights: the graphs hold them.
        open_variant: the passes of `Method.make_variant`, called once for each name that is needed."""
        self.method = method
        self._template, self._search = template, search
        self._variant = cache(open_variant) if open_variant else None

    def begin(self, pixels: Tensor, boxes: Tensor) -> Any:
        """As `Method.begin`."""
        made = self._template({"template": _crops(pixels), "box": boxes[:, 0]})
        return tree.replace_tensors(self._memory, [made[name] for name in memory_names(self._memory)])

    def __call__(self, memory: Any, pixels: Tensor, prior: Tensor) -> Output:
        """As `ForwardPass.forward`; the prediction is the graph's outputs by name."""
        if self._variant is not None and (name := self.method.variant(memory)):
            return self._variant(name)(memory, pixels, prior)
        names = memory_names(memory)
        kept = dict(zip(names, tree.tensors(memory), strict=True))
        found = self._search({**kept, "search": _crops(pixels), "prior": prior[:, 0]})
        parts = [found["boxes"], found["scores"][:, None], found["found"][:, None]]
        answers = torch.cat([*parts, torch.zeros(len(pixels), 1)], dim=1)
        learned = [found[f"new_{name}"] for name in names if f"new_{name}" in found]
        after = tree.replace_tensors(memory, learned) if learned else None
        masks = self.method.target_masks(self._as_tree(found)) if "mask" in found else None
        return Output(answers, after, found, masks)

    def score_map(self, output: Output) -> ScoreMap | None:
        """As `Network.score_map`."""
        return self.method.network.score_map(self._as_tree(output.prediction))

    def _as_tree(self, found: dict[str, Tensor]) -> Any:
        """The prediction from outputs by name."""
        shapes = self._prediction
        parts = zip(tree.names(shapes), tree.tensors(shapes), strict=True)
        return tree.replace_tensors(shapes, [found.get(name, shape) for name, shape in parts])

    @cached_property
    def _memory(self) -> Any:
        """The tree of a memory, without values."""
        return self.method.begin(self._blank(self.method.template_size), torch.zeros(1, 1, 4, device="meta"))

    @cached_property
    def _prediction(self) -> Any:
        """The tree of a prediction, without values; takes PyTorch about a second."""
        prior = torch.zeros(1, 1, 2, device="meta")
        return self.method.search(self._memory, self._blank(self.method.search_size), prior).prediction

    def _blank(self, side: int) -> Tensor:
        return torch.zeros(1, 1, self.method.modalities, 3, side, side, dtype=torch.uint8, device="meta")


def _crops(pixels: Tensor) -> Tensor:
    """[B, 1, M, 3, S, S] -> [B, S, S, 3 M]. By OpenCV, in one thread: those of ONNX Runtime use the cores."""
    return torch.from_numpy(np.stack([cv2.merge(list(target)) for target in pixels[:, 0].flatten(1, 2).numpy()]))
