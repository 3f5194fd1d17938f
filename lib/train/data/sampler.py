"""Choosing the two frames of a training pair. Every draw depends only on (seed, epoch, index).

The modes are those of STARK's sampler (Yan et al., ICCV 2021), which the OSTrack code base uses. Its modes `trident`
and `stark` draw a second, dynamic template near the search frame. The networks here use one template, so that only one
condition of the second template remains: a frame for it must exist.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from collections.abc import Sequence as Many
from typing import NamedTuple

import numpy as np
from easydict import EasyDict
from torch.utils.data import Sampler

from ...core.errors import InputError
from ...datasets.sequence import Sequence

#: Smallest visible share of the target in a frame, where it is known. A template must show more of the target than a
#: search frame, in which it only has to be recognised.
LEAST_VISIBLE_TEMPLATE, LEAST_VISIBLE_SEARCH = 0.6, 0.25


class Pair(NamedTuple):
    """Two annotated frames, as rows of `boxes`; of one sequence, unless the search frame shows another object."""

    sequence: Sequence
    template: int
    search: int
    found: Sequence | None = None  # the search frame's sequence in a negative pair
    kind: int = 0  # index in PAIR_KINDS
    category: str = ""  # of the target, by the sampler's name

    @property
    def searched(self) -> Sequence:
        """The sequence of the search frame."""
        return self.found or self.sequence


class NoPair(InputError):
    """The data sets have no pair of a kind."""


class PairSampler(ABC):
    """Draws pairs from data sets, each by its ratio."""

    _TRIES = 1000

    def __init__(self, datasets: Many[Many[Sequence]], ratios: Many[float], max_interval: int):
        """datasets: sequences of each data set; ratios: relative frequencies of the data sets; max_interval: frames."""
        if not datasets or not all(datasets):
            raise InputError("DATA.TRAIN.DATASETS_NAME: a data set without a sequence; remove it or check its folder")
        self.datasets = datasets
        self.shares = np.array(ratios, np.float64) / sum(ratios)
        self.max_interval = max_interval

    @classmethod
    def from_config(cls, cfg: EasyDict, datasets: Many[Many[Sequence]], *, stage: int) -> "PairSampler":
        """From DATA.TRAIN (stage 0) or DATA.VAL (stage 1)."""
        part = (cfg.DATA.TRAIN, cfg.DATA.VAL)[stage]
        return cls(datasets, part.DATASETS_RATIO, cfg.DATA.MAX_SAMPLE_INTERVAL)

    def kind(self, seed: tuple[int, ...], epoch: int, index: int) -> int:
        """The kind of a sample, as an index in PAIR_KINDS."""
        return 0

    @abstractmethod
    def draw(self, rng: np.random.Generator, kind: int = 0) -> Pair:
        """A pair. kind: for samplers of several kinds. Raises NoPair where the data sets have none."""


class SequencePairs(PairSampler):
    """Draws a data set, a sequence of it, and two of its frames that show the target."""

    def draw(self, rng: np.random.Generator, kind: int = 0) -> Pair:
        """A pair of one sequence. Raises NoPair where the data sets have none."""
        for _ in range(self._TRIES):
            dataset = self.datasets[int(rng.choice(len(self.datasets), p=self.shares))]
            sequence = dataset[int(rng.integers(len(dataset)))]
            rows = np.flatnonzero(sequence.valid)
            if len(rows) < 2:
                continue
            pair = self._draw_frames(sequence, rows, rng)
            if pair is not None and self._shows(pair):
                return pair
        raise NoPair(f"no sequence with two visible frames in {self._TRIES} draws; check the data set's annotation")

    @abstractmethod
    def _draw_frames(self, sequence: Sequence, rows: np.ndarray, rng: np.random.Generator) -> Pair | None:
        """Two of `rows`, all of which have a box; None for a draw that is rejected."""

    @staticmethod
    def _shows(pair: Pair) -> bool:
        share = pair.sequence.visible_share
        return share is None or bool(
            share[pair.template] >= LEAST_VISIBLE_TEMPLATE and share[pair.search] >= LEAST_VISIBLE_SEARCH
        )


class CausalPairs(SequencePairs):
    """A template frame, and a later search frame.

    The template is uniform over the frames that show the target; the search frame is uniform over those within
    `max_interval` frames after it. The interval grows by 5 until it holds such a frame (OSTrack's `causal` mode).
    """

    _GROWTH = 5

    def _draw_frames(self, sequence: Sequence, rows: np.ndarray, rng: np.random.Generator) -> Pair:
        template = rng.choice(rows[:-1])
        return Pair(sequence, int(template), int(rng.choice(self._later(sequence, rows, template))))

    def _later(self, sequence: Sequence, rows: np.ndarray, template: int) -> np.ndarray:
        frames = _numbers(sequence, rows)
        start = template if sequence.annotated is None else sequence.annotated[template]
        later, distance = rows[frames > start], frames[frames > start] - start
        # The interval grows in steps of 5 until it reaches the nearest frame.
        steps = max(0, int(np.ceil((distance[0] - self.max_interval) / self._GROWTH)))
        return later[distance <= self.max_interval + steps * self._GROWTH]


class StarkPairs(SequencePairs):
    """Template and search frame anywhere in the sequence, in either order, each uniform and drawn independently.

    Where the search frame is the later one, a frame with a box must be within `max_interval` frames before it, where
    the dynamic template would be drawn; in the other case the search frame itself counts as one. `stark` mode.
    """

    def _draw_frames(self, sequence: Sequence, rows: np.ndarray, rng: np.random.Generator) -> Pair | None:
        template, search = (int(row) for row in rng.choice(rows, 2))
        if template >= search:
            return Pair(sequence, template, search)
        usable = self._usable(sequence, rows)
        gap = _numbers(sequence, np.array([search])) - _numbers(sequence, usable[usable < search])
        return Pair(sequence, template, search) if (gap <= self.max_interval).any() else None

    def _usable(self, sequence: Sequence, rows: np.ndarray) -> np.ndarray:
        """The rows that a dynamic template could come from."""
        return rows


class TridentPairs(StarkPairs):
    """As `StarkPairs`, but the frame near the search frame must also show the target (`trident` mode)."""

    def _usable(self, sequence: Sequence, rows: np.ndarray) -> np.ndarray:
        share = sequence.visible_share
        return rows if share is None else rows[share[rows] >= LEAST_VISIBLE_TEMPLATE]


#: DATA.SAMPLER_MODE -> how pairs are drawn
MODES: dict[str, type[PairSampler]] = {"causal": CausalPairs, "trident": TridentPairs, "stark": StarkPairs}


def _numbers(sequence: Sequence, rows: np.ndarray) -> np.ndarray:
    """Frame indices of rows of the annotation."""
    return rows if sequence.annotated is None else sequence.annotated[rows]


class EpochIndices(Sampler[tuple[int, int]]):
    """(epoch, index) of the samples of this process in an epoch."""

    def __init__(self, samples: int, *, rank: int, world_size: int):
        self.samples, self.rank, self.world_size = samples, rank, world_size
        self.epoch = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, index) for index in range(self.rank, self.samples, self.world_size))

    def __len__(self) -> int:
        return len(range(self.rank, self.samples, self.world_size))
