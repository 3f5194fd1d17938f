"""Pairs of four kinds (DaSiamRPN, ECCV 2018). Positive pairs show the target twice, in a video or in a still image;
negative pairs show another object of its category, or an object of another category. A network whose only negatives are
background learns to track any object.

The paper gives no shares. Here every batch has the same mix, and categories are balanced: a data set is drawn by its
ratio, a category by the square root of its number of tracks, then a track, then its frames.
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

MOST_OWN = 0.2  # largest share of the target that the search region of a negative pair may show
_ATTEMPTS = 10  # draws of another object of the category, before an object of another category is used
_WIDEST = INTERMEDIATE / EXEMPLAR  # side of the largest square of an augmented region / side of the template's


class PairKinds(PairSampler):
    """Draws pairs of a given kind. Where a category has no other object, a negative pair shows an object of another
    category, and its `kind` says so."""

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
        """intervals: largest distance of template and search frame in each data set, frames; shares: of PAIR_KINDS;
        batch: pairs in a batch of one process; processes: number of processes that share an epoch."""
        super().__init__(catalogue.datasets, ratios, max(intervals))
        self.catalogue, self.intervals = catalogue, intervals
        self.edges = np.cumsum(shares) / sum(shares)
        self.batch, self.processes = batch, processes
        still = np.array([isinstance(dataset, Collection) and dataset.still for dataset in self.datasets])
        # Where there are only videos, a frame of a video serves as a still image.
        self.of_kind = {VIDEO: _restrict(self.shares, ~still), STILL: _restrict(self.shares, still)}

    @classmethod
    def from_config(cls, cfg: EasyDict, datasets: Many[Many[Sequence]], *, stage: int) -> "PairKinds":
        """From DATA.TRAIN or DATA.VAL, and DATA.PAIRS. Raises InputError for lists of wrong length."""
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
        """The kind of a sample. Each batch of a process holds each kind by its share, rounded down or up, and on
        average exactly."""
        turn, process = divmod(index, self.processes)
        step, slot = divmod(turn, self.batch)
        start = np.random.default_rng((*seed, epoch, step, process, len(PAIR_KINDS))).random()
        place = np.searchsorted(self.edges, (slot + start) / self.batch, side="right")
        return min(int(place), len(self.edges) - 1)

    def draw(self, rng: np.random.Generator, kind: int = VIDEO) -> Pair:
        """A pair of a kind; for SAME_CATEGORY possibly of OTHER_CATEGORY.

        Raises NoPair where the data sets have none, InputError for a track whose files cannot be read.
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
        """The pair with a search frame of another object: of the target's category, first from other videos or images,
        then from the target's own; else of another category."""
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
        """The pair with a search frame of another track; None where that may show the target. far: only of another
        video."""
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
    """Whether more than MOST_OWN of the target of `sequence` can be in a search region, with any shift, around the box
    of a row of `found`, a track of the same video. True where that is not known."""
    if sequence.objects is None or found.objects is None:
        return True
    boxes = found.objects.find(found.frame_of(row), sequence.objects.own)
    box = found.boxes[row]
    side = _WIDEST * context_side(box)
    region = np.concatenate([box[:2] + box[2:] / 2 - side / 2, [side, side]])
    return bool((inside_share(boxes, region) > MOST_OWN).any())


def _restrict(shares: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Shares of the allowed data sets; of all, where none is allowed."""
    return shares * allowed / (shares * allowed).sum() if (shares * allowed).any() else shares
