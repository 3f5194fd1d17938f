"""Which frames make a training pair. Every draw follows from (seed, epoch, index) alone.

The modes are those of STARK's sampler (Yan et al., ICCV 2021), which the OSTrack code base uses. Its `trident` and
`stark` draw a second, dynamic template near the search frame; the networks here take one template, so of the second
only the condition is left that there must be one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from easydict import EasyDict
from torch.utils.data import Sampler

from ...core.errors import InputError
from ...datasets.sequence import Sequence as Video

#: Visible share of the target that a frame must show to be drawn, where it is known. A template needs more of it than
#: a search frame, in which the target only has to be recognised.
LEAST_VISIBLE_TEMPLATE, LEAST_VISIBLE_SEARCH = 0.6, 0.25


class Pair(NamedTuple):
    """Two annotated frames, of one sequence unless the search frame shows another object; rows of their `boxes`."""

    sequence: Video
    template: int
    search: int
    found: Video | None = None  # what the search frame belongs to in a negative pair
    kind: int = 0  # which of PAIR_KINDS
    category: str = ""  # of the target, as its sampler calls it

    @property
    def searched(self) -> Video:
        """The sequence of the search frame."""
        return self.found or self.sequence


class NoPair(InputError):
    """The data sets hold no pair of the wanted kind."""


class PairSampler(ABC):
    """Draws pairs from data sets, each by its ratio."""

    _TRIES = 1000

    def __init__(self, datasets: Sequence[Sequence[Video]], ratios: Sequence[float], max_interval: int):
        """datasets: sequences of each data set; ratios: how often each is drawn, relative to the others;
        max_interval: frames."""
        if not datasets or not all(datasets):
            raise InputError("DATA.TRAIN.DATASETS_NAME: a data set without a sequence; remove it or check its folder")
        self.datasets = datasets
        self.shares = np.array(ratios, np.float64) / sum(ratios)
        self.max_interval = max_interval

    @classmethod
    def from_config(cls, cfg: EasyDict, datasets: Sequence[Sequence[Video]], *, stage: int) -> "PairSampler":
        """From DATA.TRAIN (stage 0) or DATA.VAL (stage 1)."""
        part = (cfg.DATA.TRAIN, cfg.DATA.VAL)[stage]
        return cls(datasets, part.DATASETS_RATIO, cfg.DATA.MAX_SAMPLE_INTERVAL)

    def kind(self, seed: tuple[int, ...], epoch: int, index: int) -> int:
        """Which of PAIR_KINDS a sample is to be."""
        return 0

    @abstractmethod
    def draw(self, rng: np.random.Generator, kind: int = 0) -> Pair:
        """A pair. kind: for samplers of several kinds. Raises NoPair when the data sets hold none."""


class SequencePairs(PairSampler):
    """Draws a data set, a sequence of it, and two of its frames that show the target."""

    def draw(self, rng: np.random.Generator, kind: int = 0) -> Pair:
        """A pair of one sequence. Raises NoPair when the data sets hold none."""
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
    def _draw_frames(self, sequence: Video, rows: np.ndarray, rng: np.random.Generator) -> Pair | None:
        """Two of `rows`, which have a box; None for a draw that does not count."""

    @staticmethod
    def _shows(pair: Pair) -> bool:
        share = pair.sequence.visible_share
        return share is None or bool(
            share[pair.template] >= LEAST_VISIBLE_TEMPLATE and share[pair.search] >= LEAST_VISIBLE_SEARCH
        )


class CausalPairs(SequencePairs):
    """A template frame, and a later search frame.

    The template is uniform over frames that show the target; the search frame uniform over those within
    `max_interval` frames behind it, an interval that grows by 5 until it holds one (OSTrack's `causal` mode).
    """

    _GROWTH = 5

    def _draw_frames(self, sequence: Video, rows: np.ndarray, rng: np.random.Generator) -> Pair:
        template = rng.choice(rows[:-1])
        return Pair(sequence, int(template), int(rng.choice(self._later(sequence, rows, template))))

    def _later(self, sequence: Video, rows: np.ndarray, template: int) -> np.ndarray:
        frames = _numbers(sequence, rows)
        start = template if sequence.annotated is None else sequence.annotated[template]
        later, distance = rows[frames > start], frames[frames > start] - start
        # Growing by 5 until a frame is found is the nearest frame's distance, rounded up to the next step.
        steps = max(0, int(np.ceil((distance[0] - self.max_interval) / self._GROWTH)))
        return later[distance <= self.max_interval + steps * self._GROWTH]


class StarkPairs(SequencePairs):
    """Template and search frame anywhere in the sequence, in either order, each uniform and drawn independently.

    Where the search frame is the later one, a frame with a box must lie within `max_interval` frames before it: the
    dynamic template would be drawn there (on the other side the search frame itself counts). `stark` mode.
    """

    def _draw_frames(self, sequence: Video, rows: np.ndarray, rng: np.random.Generator) -> Pair | None:
        template, search = (int(row) for row in rng.choice(rows, 2))
        if template >= search:
            return Pair(sequence, template, search)
        usable = self._usable(sequence, rows)
        gap = _numbers(sequence, np.array([search])) - _numbers(sequence, usable[usable < search])
        return Pair(sequence, template, search) if (gap <= self.max_interval).any() else None

    def _usable(self, sequence: Video, rows: np.ndarray) -> np.ndarray:
        """The rows that a dynamic template could come from."""
        return rows


class TridentPairs(StarkPairs):
    """As `StarkPairs`, but the frame near the search frame must show the target, not only have a box (`trident`)."""

    def _usable(self, sequence: Video, rows: np.ndarray) -> np.ndarray:
        share = sequence.visible_share
        return rows if share is None else rows[share[rows] >= LEAST_VISIBLE_TEMPLATE]


#: DATA.SAMPLER_MODE -> how pairs are drawn
MODES: dict[str, type[PairSampler]] = {"causal": CausalPairs, "trident": TridentPairs, "stark": StarkPairs}


def _numbers(sequence: Video, rows: np.ndarray) -> np.ndarray:
    """The frames that rows of the annotation belong to."""
    return rows if sequence.annotated is None else sequence.annotated[rows]


class EpochIndices(Sampler[tuple[int, int]]):
    """Indices of this process's share of an epoch, as (epoch, index): what a sample is made from."""

    def __init__(self, samples: int, *, rank: int, world_size: int):
        self.samples, self.rank, self.world_size = samples, rank, world_size
        self.epoch = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, index) for index in range(self.rank, self.samples, self.world_size))

    def __len__(self) -> int:
        return len(range(self.rank, self.samples, self.world_size))
