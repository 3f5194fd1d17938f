"""Pairs of four kinds (DaSiamRPN, ECCV 2018): the target again, in a video or in one still image; another object of
its category; an object of another one. A network whose only negatives are background learns to follow any object.

The paper gives no shares. Here every batch has the same mix, and categories are balanced: data set by its ratio,
category by the root of its number of tracks, then a track, then its frames.
"""

from collections.abc import Sequence as Many

import numpy as np
from easydict import EasyDict

from ...core.distributed import world_size
from ...core.errors import InputError
from ...core.view import EXEMPLAR, INTERMEDIATE, context_side
from ...datasets.sequence import Collection, Sequence
from ...datasets.usable import inside_share, usable_rows
from ...models.base import PAIR_KINDS
from .catalogue import SHIPPED, Catalogue, TrackId, read_aliases
from .sampler import LEAST_VISIBLE_SEARCH, LEAST_VISIBLE_TEMPLATE, NoPair, Pair, PairSampler

VIDEO, STILL, SAME_CATEGORY, OTHER_CATEGORY = range(len(PAIR_KINDS))

MOST_OWN = 0.2  # share of the target that the search region of a negative pair may hold
_ATTEMPTS = 10  # draws of another object of the category, before one of another category is taken
_WIDEST = INTERMEDIATE / EXEMPLAR  # largest square that an augmented region is cut from / square of the template


class PairKinds(PairSampler):
    """Draws pairs of a wanted kind. Where the data cannot give it, the pair is of the next possible kind, and its
    `kind` says which."""

    def __init__(
        self,
        catalogue: Catalogue,
        ratios: Many[float],
        intervals: Many[int],
        *,
        shares: Many[float],
        batch: int,
        processes: int = 1,
    ):
        """intervals: frames between template and search frame, at most, of each data set; shares: of PAIR_KINDS;
        batch: pairs of a process's batch; processes: that share an epoch."""
        super().__init__(catalogue.datasets, ratios, max(intervals))
        self.catalogue, self.intervals = catalogue, intervals
        self.edges = np.cumsum(shares) / sum(shares)
        self.batch, self.processes = batch, processes
        still = np.array([isinstance(dataset, Collection) and dataset.still for dataset in self.datasets])
        # Where there are only videos, one frame of a video is a still image; the reverse pair is the same anyway.
        self.of_kind = {VIDEO: _restrict(self.shares, ~still), STILL: _restrict(self.shares, still)}

    @classmethod
    def from_config(cls, cfg: EasyDict, datasets: Many[Many[Sequence]], *, stage: int) -> "PairKinds":
        """From DATA.TRAIN or DATA.VAL, and DATA.PAIRS. Raises InputError for lists that do not go together."""
        part, rules = (cfg.DATA.TRAIN, cfg.DATA.VAL)[stage], cfg.DATA.PAIRS
        shares = (rules.SHARES, rules.VAL_SHARES)[stage]
        if len(shares) != len(PAIR_KINDS) or not sum(shares):
            raise InputError(f"DATA.PAIRS: shares {shares}: give {len(PAIR_KINDS)}, of {', '.join(PAIR_KINDS)}")
        intervals = list(part.MAX_INTERVALS) or [cfg.DATA.MAX_SAMPLE_INTERVAL] * len(datasets)
        if len(intervals) != len(datasets):
            name = ("TRAIN", "VAL")[stage]
            raise InputError(f"DATA.{name}.MAX_INTERVALS: {len(intervals)} values for {len(datasets)} data sets")
        aliases = read_aliases(SHIPPED if rules.ALIASES == "shipped" else rules.ALIASES) if rules.ALIASES else None
        return cls(
            Catalogue(datasets, part.DATASETS_NAME, aliases),
            part.DATASETS_RATIO,
            intervals,
            shares=shares,
            batch=cfg.TRAIN.BATCH_SIZE,
            processes=world_size(),
        )

    def kind(self, seed: tuple[int, ...], epoch: int, index: int) -> int:
        """The kind of a sample: each batch of a process holds each kind as often as its share says, rounded down or
        up, and on average exactly so often."""
        turn, process = divmod(index, self.processes)
        step, slot = divmod(turn, self.batch)
        start = np.random.default_rng((*seed, epoch, step, process, len(PAIR_KINDS))).random()
        place = np.searchsorted(self.edges, (slot + start) / self.batch, side="right")
        return min(int(place), len(self.edges) - 1)

    def draw(self, rng: np.random.Generator, kind: int = VIDEO) -> Pair:
        """A pair of a kind, or of the kind that takes its place.

        Raises NoPair when the data sets hold none, InputError for a track whose files cannot be read.
        """
        for _ in range(self._TRIES):
            shares = self.of_kind.get(kind, self.shares)
            dataset = int(rng.choice(len(self.datasets), p=shares))
            category = self.catalogue.draw_category(dataset, rng)
            track = self.catalogue.draw_track(dataset, category, rng)
            sequence = self.catalogue.get(track)
            rows = usable_rows(sequence, LEAST_VISIBLE_TEMPLATE)
            if not len(rows):
                continue
            template = int(rng.choice(rows))
            if kind in (VIDEO, STILL):
                pair = self._positive(sequence, template, kind, self.intervals[dataset], rng)
            else:
                pair = self._negative(Pair(sequence, template, 0, None, kind), track, category, rng)
            if pair is not None:
                return pair._replace(category=category)
        raise NoPair(
            f"no pair of the kind {PAIR_KINDS[kind]!r} in {self._TRIES} draws; check the data sets' annotation, or set "
            "its share in DATA.PAIRS to 0"
        )

    def _positive(
        self, sequence: Sequence, template: int, kind: int, interval: int, rng: np.random.Generator
    ) -> Pair | None:
        if kind == STILL:
            return Pair(sequence, template, template, None, kind)
        rows = usable_rows(sequence, LEAST_VISIBLE_SEARCH)
        numbers = rows if sequence.annotated is None else sequence.annotated[rows]
        near = rows[(abs(numbers - sequence.frame_of(template)) <= interval) & (rows != template)]
        return Pair(sequence, template, int(rng.choice(near)), None, kind) if len(near) else None

    def _negative(self, pair: Pair, own: TrackId, category: str, rng: np.random.Generator) -> Pair | None:
        """The pair with another object to search for: one of the target's category, first in other videos or images,
        then in the target's own; else one of another category."""
        if pair.kind == SAME_CATEGORY and category:
            for attempt in range(_ATTEMPTS):
                found = self.catalogue.draw_same(own.dataset, category, rng)
                far = attempt < _ATTEMPTS // 2
                if found != own and (negative := self._search_in(pair, found, rng, far=far)) is not None:
                    return negative
        pair = pair._replace(kind=OTHER_CATEGORY)
        for _ in range(_ATTEMPTS):
            other = self.catalogue.draw_other(own.dataset, category, rng)
            if other is not None and other != own and (negative := self._search_in(pair, other, rng)) is not None:
                return negative
        return None

    def _search_in(self, pair: Pair, track: TrackId, rng: np.random.Generator, *, far: bool = False) -> Pair | None:
        """The pair with a search frame of another track, unless that may show the target; far: of another video."""
        found = self.catalogue.get(track)
        together = bool(found.video) and found.video == pair.sequence.video
        rows = usable_rows(found, LEAST_VISIBLE_TEMPLATE)
        if not len(rows) or (far and together):
            return None
        row = int(rng.choice(rows))
        if together and shows_target(pair.sequence, found, row):
            return None
        return pair._replace(search=row, found=found)


def shows_target(sequence: Sequence, found: Sequence, row: int) -> bool:
    """Whether more than MOST_OWN of the target of `sequence` can lie in a search region, however shifted, around the
    box of a row of `found`, a track of the same video. Where that is not known the answer is yes."""
    if sequence.objects is None or found.objects is None:
        return True
    boxes = found.objects.find(found.frame_of(row), sequence.objects.own)
    box = found.boxes[row]
    side = _WIDEST * context_side(box)
    region = np.concatenate([box[:2] + box[2:] / 2 - side / 2, [side, side]])
    return bool((inside_share(boxes, region) > MOST_OWN).any())


def _restrict(shares: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Shares of the data sets that are allowed; of all, where none is."""
    return shares * allowed / (shares * allowed).sum() if (shares * allowed).any() else shares
