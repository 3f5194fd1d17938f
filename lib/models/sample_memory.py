"""The samples that a target's filter is learned from, and their weights (ATOM, CVPR 2019, section 3.3).

M places of a memory, N samples of the first frame.
"""

from typing import Any

import numpy as np
from torch import Tensor

from ..core import tree
from ..core.upload import upload


class SampleMemory:
    """Samples of one target, changed in place. A sample is a tree of tensors (lib.core.tree)."""

    def __init__(self, samples: Any, size: int, first_share: float):
        """samples: of the first frame, a tree with leading dimension N; size: M, at least N; first_share: the smallest
        weight of these samples together. All weights have a sum of 1."""
        first = tree.tensors(samples)
        self.first = self.count = len(first[0])
        self.samples = tree.map_tensors(lambda part: part.new_zeros(size, *part.shape[1:]), samples)
        for kept, part in zip(tree.tensors(self.samples), first, strict=True):
            kept[: self.first] = part
        self.weights = np.zeros(size)
        self.weights[: self.first] = 1 / self.first
        self.first_share = first_share
        self._newest: int | None = None

    def add(self, sample: Any, rate: float) -> int:
        """Keep a sample (leading dimension 1) with the weight `rate`, in the place of the one with the smallest weight
        behind those of the first frame, where none is free. Where all are of the first frame, nothing is kept. Returns
        the place, or -1."""
        size = len(self.weights)
        if self.first == size:
            return -1
        place = self.count if self.count < size else self.first + int(self.weights[self.first :].argmin())
        if self._newest is None:
            self.weights /= 1 - rate
            self.weights[place] = rate
        else:
            # Each new sample has the same share of those before it.
            self.weights[place] = self.weights[self._newest] / (1 - rate)
        self.weights /= self.weights.sum()
        if self.weights[: self.first].sum() < self.first_share:
            self.weights /= self.first_share + self.weights[self.first :].sum()
            self.weights[: self.first] = self.first_share / self.first
        for kept, part in zip(tree.tensors(self.samples), tree.tensors(sample), strict=True):
            kept[place] = part[0]
        self._newest, self.count = place, max(self.count, place + 1)
        return place

    def used(self) -> tuple[Any, Tensor]:
        """The samples so far, a tree with the leading dimensions 1 and their number; their weights [1, number]"""
        samples = tree.map_tensors(lambda part: part[None, : self.count], self.samples)
        like = tree.tensors(self.samples)[0]
        return samples, upload(self.weights[None, : self.count].astype(np.float32), like.device)
