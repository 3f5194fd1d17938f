"""Labels for one unlabelled video: windows of frames, in each the targets that are kept."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ...datasets.sequence import INFRARED, Frames
from ..tracker.protocol import Tracker
from .following import Seed, Window, follow_both_ways
from .proposals import BACKGROUND_FRAMES, background_of, distinct, moving_boxes, warm_boxes
from .spans import Rules, Span, choose_span, drop_copies


@dataclass(frozen=True)
class Search:
    """How a video is searched for targets."""

    step: int = 3  # one of so many frames is used
    span: int = 40  # used frames of a window
    hop: int = 20  # used frames from the start of a window to that of the next
    most_targets: int = 8  # that are followed in a window; more are drawn from
    seed: int = 0
    rules: Rules = Rules()


@dataclass(frozen=True, eq=False)
class Found:
    """What a video gave."""

    spans: list[Span]  # frames are counted in used frames of the video
    dropped: Counter[str]  # why -> how many targets


def used_frames(frames: Frames, search: Search) -> range:
    """The frames of a video that are used."""
    return range(0, len(frames), search.step)


def find_spans(tracker: Tracker, frames: Frames, search: Search, on_frame: Callable[[int], object]) -> Found:
    """The labelled spans of a video. on_frame: is called with the number of used frames that are done."""
    rng = np.random.default_rng(search.seed)
    used = used_frames(frames, search)
    backgrounds = _backgrounds(frames, used)
    found = Found([], Counter())
    for start, window in _windows(frames, used, search):
        seeds, others = _propose(window, backgrounds, frames.modalities, found.spans, start)
        found.dropped["too many"] += max(0, len(seeds) + len(others) - search.most_targets)
        seeds = _draw(seeds, others, search.most_targets, rng)
        spans = []
        for outcome in _follow(tracker, window, seeds, search.rules, frames.modalities):
            if isinstance(outcome, Span):
                spans.append(Span(outcome.first + start, outcome.boxes, outcome.sure))
            else:
                found.dropped[outcome] += 1
        kept = drop_copies([*found.spans, *spans])
        found.dropped["twice"] += len(found.spans) + len(spans) - len(kept)
        found.spans[:] = kept
        on_frame(min(len(used), start + search.hop))
    on_frame(len(used))
    return found


def _windows(frames: Frames, used: range, search: Search) -> Iterator[tuple[int, list[list[np.ndarray]]]]:
    """Number of the first used frame of each window, and its images."""
    images: list[list[np.ndarray]] = []
    first = 0
    for start in range(0, max(1, len(used) - search.rules.least_frames + 1), search.hop):
        images, first = images[start - first :], start
        images += [frames[used[k]] for k in range(start + len(images), min(start + search.span, len(used)))]
        yield start, images


def _backgrounds(frames: Frames, used: range) -> list[np.ndarray]:
    picked = np.unique(np.linspace(0, len(used) - 1, min(BACKGROUND_FRAMES, len(used))).round().astype(int))
    images = [frames[used[k]] for k in picked.tolist()]
    return [background_of([frame[stream] for frame in images]) for stream in range(len(frames.modalities))]


def _propose(
    window: Window,
    backgrounds: list[np.ndarray],
    modalities: tuple[str, ...],
    spans: list[Span],
    start: int,
) -> tuple[np.ndarray, np.ndarray]:
    """[N, 4], [K, 4] moving and warm boxes in the first frame of a window that no known span covers."""
    shown = list(zip(window[0], backgrounds, modalities, strict=True))
    moving = [moving_boxes(image, background) for image, background, _ in shown]
    warm = [np.zeros((0, 4)), *(warm_boxes(image) for image, _, name in shown if name == INFRARED)]
    known = [span.boxes[start - span.first] for span in spans if 0 <= start - span.first < len(span.boxes)]
    taken = np.array(known).reshape(-1, 4)
    first = distinct(np.concatenate(moving), taken)
    return first, distinct(np.concatenate(warm), np.concatenate([taken, first]))


def _draw(first: np.ndarray, second: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most so many boxes: those of the second kind [K, 4] where the first [N, 4] are too few."""
    chosen = [
        boxes[np.sort(rng.permutation(len(boxes))[:room])]
        for boxes, room in ((first, most), (second, max(0, most - len(first))))
    ]
    return np.concatenate(chosen)


def _follow(
    tracker: Tracker, window: Window, boxes: np.ndarray, rules: Rules, modalities: tuple[str, ...]
) -> list[Span | str]:
    streams = range(len(modalities))
    seeds = [Seed(0, stream, box) for box in boxes for stream in streams]
    pairs = follow_both_ways(tracker, window, seeds)
    each = [pairs[first : first + len(streams)] for first in range(0, len(pairs), len(streams))]
    return [choose_span(one, window[0], rules, INFRARED in modalities) for one in each]
