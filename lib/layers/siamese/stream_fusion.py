"""A modality-shared stream, and gates that say which stream to believe, where and when (after IIMF, ACM MM 2024).

B targets, C channels, n cells on each side, h hidden channels, S streams.
"""

import torch
from torch import Tensor, nn

from ...core.boxes import cxcywh_to_xyxy, iou_and_union
from ..batch_invariant import BatchInvariantConv2d
from .fear_head import FearMaps, SeparableConv

_NEAR = 2  # cells around the best one that do not count as a second peak
_EVIDENCE = 6  # numbers about each stream that its gate is computed from


class SharedStream(nn.Module):
    """Features that both streams feed: at each place a weighted mean of the two, plus what only both together show."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.reduce = BatchInvariantConv2d(channels, hidden, 1)
        self.mix = SeparableConv(3 * hidden, hidden)
        self.context = nn.Linear(3 * hidden, hidden)
        self.weights = BatchInvariantConv2d(hidden, 2, 1)
        self.addition = BatchInvariantConv2d(hidden, channels, 1)
        nn.init.zeros_(self.addition.weight)
        nn.init.zeros_(self.addition.bias)  # type: ignore[arg-type]

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        """Twice [B, C, n, n] -> [B, C, n, n]"""
        a, b = self.reduce(visible).relu(), self.reduce(infrared).relu()
        both = torch.cat([a, b, a * b], dim=1)
        context = self.context(both.mean((2, 3)))
        mixed = (self.mix(both) + context[:, :, None, None]).relu()
        share = self.weights(mixed).softmax(1)
        return share[:, :1] * visible + share[:, 1:] * infrared + self.addition(mixed)


class StreamGates(nn.Module):
    """One score map and one box for each cell, from those of several streams.

    The weight of a stream in a cell depends on the features there, and on evidence from its whole score map: the height
    of its peak, of its second peak, how much of the map is high, and how well its best box agrees with the others'.
    """

    def __init__(self, channels: int, hidden: int, streams: int):
        super().__init__()
        self.streams = streams
        self.reduce = BatchInvariantConv2d(channels, hidden, 1)
        inputs = streams * (hidden + 2)
        self.mix = SeparableConv(inputs, 2 * hidden)
        self.evidence = nn.Sequential(nn.Linear(streams * _EVIDENCE, hidden), nn.ReLU(), nn.Linear(hidden, 2 * hidden))
        self.refine = SeparableConv(2 * hidden, hidden)
        self.gates = BatchInvariantConv2d(hidden, 2 * streams + 1, 1)
        nn.init.zeros_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)  # type: ignore[arg-type]

    def forward(self, maps: FearMaps, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps of [B S] samples, streams of a target in turn, and boxes [B S, 4, n, n] cxcywh in crop units -> logits
        [B, n, n], distances [B, 4, n, n] and the streams' weights [B, S, n, n]."""
        logits, distances = (part.float().unflatten(0, (-1, self.streams)) for part in maps[:2])
        reduced = self.reduce(maps.tower).relu().unflatten(0, (-1, self.streams))
        scores = logits.sigmoid()
        shown = torch.cat([reduced.flatten(1, 2), logits.to(reduced.dtype) / 4, scores.to(reduced.dtype)], dim=1)
        found = find_evidence(logits, boxes.float().unflatten(0, (-1, self.streams)))
        context = self.evidence(found.flatten(1).to(reduced.dtype))
        gates = self.gates(self.refine((self.mix(shown) + context[:, :, None, None]).relu())).float()
        weights, sides = gates[:, : self.streams].softmax(1), gates[:, self.streams : 2 * self.streams].softmax(1)
        fused = (weights * logits).sum(1) + gates[:, -1]
        return fused, (sides[:, :, None] * distances.log()).sum(1).exp(), weights


def find_evidence(logits: Tensor, boxes: Tensor) -> Tensor:
    """How sure each stream looks, and how well the streams agree: logits [B, S, n, n], boxes [B, S, 4, n, n] cxcywh ->
    [B, S, 6] best logit, second peak, difference of the two, share of high cells, mean and least overlap of its best
    box with the other streams'."""
    streams, cells = logits.shape[1], logits.shape[-1]
    flat = logits.flatten(2)
    best, place = flat.max(2)
    row, column = place // cells, place % cells
    steps = torch.arange(cells, device=logits.device)
    far_y, far_x = ((steps - at[..., None]).abs() > _NEAR for at in (row, column))
    far = far_y[..., :, None] | far_x[..., None, :]
    second = logits.masked_fill(~far, -20.0).amax((2, 3)).clamp(min=-20)
    wide = logits.sigmoid().mean((2, 3))
    chosen = boxes.flatten(3).gather(3, place[..., None, None].expand(-1, -1, 4, 1))[..., 0]
    corners = cxcywh_to_xyxy(chosen)
    overlap = iou_and_union(corners[:, :, None], corners[:, None])[0].nan_to_num(0)
    others = (overlap.sum(2) - 1) / (streams - 1)
    least = overlap.amin(2)
    return torch.stack([best / 4, second / 4, (best - second) / 4, 4 * wide, others, least], dim=2)
