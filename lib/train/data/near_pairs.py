"""Frames near each other, from sets of videos and of images, with masks or without (Alpha-Refine, CVPR 2021; ATOM and
DiMP draw their videos by the same rules)."""

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from easydict import EasyDict

from ...core.errors import InputError
from ...datasets.sequence import Collection, Sequence
from .sampler import NoPair, Pair, PairSampler

LEAST_FRAMES = 20  # annotated frames of a video whose target has a box alone
LEAST_MASKED = 2  # of one with masks


class Shown(NamedTuple):
    """A sequence, and where it shows its target."""

    sequence: Sequence
    rows: np.ndarray  # of its annotation
    still: bool  # whether it is one image

    @property
    def numbers(self) -> np.ndarray:
        """The frames of the rows."""
        return self.rows if self.sequence.annotated is None else self.sequence.annotated[self.rows]


@dataclass(frozen=True)
class VideoDraw:
    """Draws a data set by its ratio, then a sequence of it that shows its target often enough."""

    datasets: Many[Many[Sequence]]
    shares: np.ndarray  # of the data sets, with a sum of 1
    least: float = 0.0  # the target counts as visible where more than this share of it is, as far as that is known

    _TRIES = 1000

    @classmethod
    def from_config(cls, cfg: EasyDict, datasets: Many[Many[Sequence]], *, stage: int) -> "VideoDraw":
        """From DATA.TRAIN (stage 0) or DATA.VAL (stage 1), and DATA.LEAST_VISIBLE. Raises InputError for a data set
        without a sequence."""
        ratios = np.array((cfg.DATA.TRAIN, cfg.DATA.VAL)[stage].DATASETS_RATIO, np.float64)
        if not datasets or not all(datasets):
            raise InputError("DATA.TRAIN.DATASETS_NAME: a data set without a sequence; remove it or check its folder")
        return cls(datasets, ratios / ratios.sum(), cfg.DATA.LEAST_VISIBLE)

    def draw(self, rng: np.random.Generator, frames: int) -> Shown:
        """A sequence. A video has more than twice as many visible frames as a sample takes, `frames`, and 20 annotated
        ones (2, where it has masks). Raises NoPair after 1000 draws without one."""
        for _ in range(self._TRIES):
            dataset = self.datasets[int(rng.choice(len(self.datasets), p=self.shares))]
            still = isinstance(dataset, Collection) and dataset.still
            sequence = dataset[int(rng.integers(len(dataset)))]
            rows = np.flatnonzero(self._visible(sequence, still=still))
            least = LEAST_FRAMES if sequence.masks is None else LEAST_MASKED
            if len(rows) and (still or (len(rows) > 2 * frames and len(sequence.boxes) >= least)):
                return Shown(sequence, rows, still)
        raise NoPair(
            f"no sequence with more than {2 * frames} visible frames in {self._TRIES} draws; check the data sets' "
            "annotation, or lower DATA.LEAST_VISIBLE"
        )

    def _visible(self, sequence: Sequence, *, still: bool) -> np.ndarray:
        """[T] bool. An object as large as its image has nothing around it to be told from."""
        visible = sequence.valid
        if sequence.visible_share is not None:
            visible &= sequence.visible_share > self.least
        if still and sequence.size is not None:
            visible &= sequence.boxes[:, 2:].prod(1) < np.prod(sequence.size)
        return visible


class NearPairs(PairSampler):
    """Template and search frame at most `max_interval` frames apart, in either order; they may be the same frame. Of an
    image set both are the same image."""

    def __init__(self, videos: VideoDraw, max_interval: int):
        super().__init__(videos.datasets, videos.shares.tolist(), max_interval)
        self.videos = videos

    @classmethod
    def from_config(cls, cfg: EasyDict, datasets: Many[Many[Sequence]], *, stage: int) -> "NearPairs":
        """From DATA.TRAIN or DATA.VAL, DATA.LEAST_VISIBLE and DATA.MAX_SAMPLE_INTERVAL."""
        return cls(VideoDraw.from_config(cfg, datasets, stage=stage), cfg.DATA.MAX_SAMPLE_INTERVAL)

    def draw(self, rng: np.random.Generator, kind: int = 0) -> Pair:
        """A pair. Raises NoPair where the data sets have none."""
        shown = self.videos.draw(rng, 2)
        place = 0 if shown.still else int(rng.integers(len(shown.rows)))
        template = int(shown.rows[place])
        if shown.still:
            return Pair(shown.sequence, template, template)
        near = shown.rows[abs(shown.numbers - shown.numbers[place]) <= self.max_interval]
        return Pair(shown.sequence, template, int(rng.choice(near)))
