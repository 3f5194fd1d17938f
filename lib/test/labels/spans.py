"""Which boxes of followed targets are kept as labels, and why the others are dropped."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics.measure import overlap
from .following import Pair
from .proposals import WARMER, grey

RETURNED = 3  # frames at the start of which one has to agree: then the way back found the beginning
LEAST_SHARE = 0.7  # of the frames of a span that agree
STREAMS = 0.5  # overlap of the boxes of two streams that show one thing
UNSURE, STRONG = 0.5, 0.8  # score of a stream that is not asked; agreement of the other that then decides alone
MOVED = 0.3  # way of the centre over the box's size that counts as moving
STANDS_OUT = 15  # grey levels that an infrared target is brighter than what is around it, at least
SAME = 0.5  # mean overlap of two targets that are one


@dataclass(frozen=True)
class Rules:
    """What is kept."""

    agreement: float = 0.6  # overlap of the boxes forwards and backwards, at least
    least_frames: int = 20
    alone: bool = True  # whether a sure stream decides where the other one is not sure


@dataclass(frozen=True, eq=False)
class Span:
    """A target with labels in a window: frames first to last."""

    first: int
    boxes: np.ndarray  # [L, 4] xywh, pixels; 0, 0, 0, 0 where not labelled
    sure: float  # mean agreement of the labelled frames


def choose_span(
    streams: Sequence[Pair], images: Sequence[np.ndarray], rules: Rules, infrared: bool = True
) -> Span | str:
    """The span of one target that the streams support, or why there is none.

    images: [H, W, 3] of the window's first frame, one for each stream; infrared: whether the last one is infrared.
    """
    boxes, kept = merge(streams, rules)
    if not kept[:RETURNED].any():
        return "does not return"
    first, last = np.flatnonzero(kept)[[0, -1]]
    if last - first + 1 < rules.least_frames:
        return "short"
    boxes, kept = boxes[first : last + 1], kept[first : last + 1]
    if kept.mean() < LEAST_SHARE:
        return "does not agree"
    moving = moves(boxes[kept])
    if infrared and contrast(images[-1], boxes[0]) < (STANDS_OUT if moving else WARMER):
        return "does not stand out" if moving else "neither moves nor is warm"
    if not infrared and not moving:
        return "does not move"
    sure = np.nanmean(np.fmax.reduce([pair.agreement for pair in streams])[first : last + 1][kept])
    return Span(int(first), np.where(kept[:, None], boxes, 0.0), float(sure))


def merge(streams: Sequence[Pair], rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """[T, 4] boxes of the streams together, [T] whether they are kept."""
    agrees = [np.nan_to_num(pair.agreement) > rules.agreement for pair in streams]
    if len(streams) == 1:
        return streams[0].boxes, agrees[0]
    one, two = streams
    both = agrees[0] & agrees[1] & (np.nan_to_num(overlap(one.boxes, two.boxes)) > STREAMS)
    boxes, kept = (one.boxes + two.boxes) / 2, both
    for sure, other in ((one, two), (two, one)) if rules.alone else ():
        unsure = ~(np.nan_to_num(other.scores) >= UNSURE)
        takes = ~both & unsure & (np.nan_to_num(sure.agreement) > STRONG) & (np.nan_to_num(sure.scores) >= UNSURE)
        boxes, kept = np.where(takes[:, None], sure.boxes, boxes), kept | takes
    return boxes, kept


def moves(boxes: np.ndarray) -> bool:
    """Whether the centre of boxes [L, 4] goes away from where it began."""
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    way = np.hypot(*(centres - centres[0]).T).max()
    return bool(way > MOVED * np.sqrt(boxes[0, 2:].prod()))


def contrast(image: np.ndarray, box: np.ndarray) -> float:
    """How much brighter a box is than what is around it, grey levels."""
    bright = grey(image)
    x, y, w, h = box
    inside, around = _cut(bright, x, y, w, h), _cut(bright, x - w / 2, y - h / 2, 2 * w, 2 * h)
    rest = (around.sum() - inside.sum()) / max(1, around.size - inside.size)
    return float(inside.mean() - rest) if inside.size else 0.0


def drop_copies(spans: Sequence[Span]) -> list[Span]:
    """The spans without those that show the thing of a surer one."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: -span.sure):
        if all(_shared(span, other) < SAME for other in kept):
            kept.append(span)
    return [span for span in spans if any(span is other for other in kept)]


def _shared(one: Span, two: Span) -> float:
    first = max(one.first, two.first)
    last = max(first, min(span.first + len(span.boxes) for span in (one, two)))
    pairs = [span.boxes[first - span.first : last - span.first] for span in (one, two)]
    valid = (pairs[0][:, 2] > 0) & (pairs[1][:, 2] > 0)
    return float(overlap(pairs[0][valid], pairs[1][valid]).mean()) if valid.any() else 0.0


def _cut(image: np.ndarray, x: float, y: float, w: float, h: float) -> np.ndarray:
    left, top = max(0, round(x)), max(0, round(y))
    return image[top : max(top, round(y + h)), left : max(left, round(x + w))]
