"""Tracks of data sets, sorted by category, for samplers that draw by category."""

from collections.abc import Mapping
from collections.abc import Sequence as Many
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...core.errors import InputError
from ...datasets.annotation import read_lines
from ...datasets.readers.got10k import SPLITS
from ...datasets.sequence import Collection, Sequence

SHIPPED = SPLITS / "category_aliases.txt"  # equal categories of the usual data sets
FLATTENING = 0.5  # a category is drawn in proportion to (its number of tracks) ** this


class TrackId(NamedTuple):
    """A track of one of several data sets."""

    dataset: int
    track: int


class Catalogue:
    """The tracks of several data sets by category. Equal names in two data sets are different categories, unless a
    table of aliases says otherwise."""

    def __init__(
        self,
        datasets: Many[Many[Sequence]],
        names: Many[str],
        aliases: Mapping[tuple[str, str], str] | None = None,
    ):
        """names: of the data sets; aliases: (data set, category) -> common name, see `read_aliases`."""
        self.datasets = datasets
        self.common = aliases is not None
        #: for each data set: category -> its tracks; "" for tracks of unknown category
        self.groups = [
            _group(dataset, name.lower(), aliases or {}) for dataset, name in zip(datasets, names, strict=True)
        ]

    def get(self, track: TrackId) -> Sequence:
        """The annotated sequence of a track."""
        return self.datasets[track.dataset][track.track]

    def draw_category(self, dataset: int, rng: np.random.Generator) -> str:
        """A category of a data set."""
        categories, shares = self._shares[dataset]
        return categories[int(rng.choice(len(categories), p=shares))]

    def draw_track(self, dataset: int, category: str, rng: np.random.Generator) -> TrackId:
        """A track of a category of a data set."""
        tracks = self.groups[dataset][category]
        return TrackId(dataset, int(tracks[rng.integers(len(tracks))]))

    def draw_same(self, dataset: int, category: str, rng: np.random.Generator) -> TrackId:
        """A track of a category, from any data set that has it."""
        sizes = np.array([len(groups.get(category, ())) * self._admits(k, dataset) for k, groups in self._numbered])
        return self.draw_track(int(rng.choice(len(sizes), p=sizes / sizes.sum())), category, rng)

    def draw_other(self, dataset: int, category: str, rng: np.random.Generator) -> TrackId | None:
        """A track of another category; None where there is none. For an unknown category any track, which is at least
        another object."""
        allowed = [k for k, _ in self._numbered if self._admits(k, dataset)]
        chosen = int(allowed[rng.integers(len(allowed))])
        categories, shares = self._shares[chosen]
        free = np.array([name != category or not name for name in categories])
        if not free.any():
            return None
        shares = shares * free / (shares * free).sum()
        return self.draw_track(chosen, categories[int(rng.choice(len(categories), p=shares))], rng)

    def _admits(self, other: int, dataset: int) -> bool:
        """Whether it is known which categories of two data sets are equal."""
        return other == dataset or self.common

    @property
    def _numbered(self) -> list[tuple[int, dict[str, np.ndarray]]]:
        return list(enumerate(self.groups))

    @cached_property
    def _shares(self) -> list[tuple[list[str], np.ndarray]]:
        """For each data set its categories, and the probability of each."""
        weights = [np.array([len(tracks) for tracks in groups.values()]) ** FLATTENING for groups in self.groups]
        return [(list(groups), weight / weight.sum()) for groups, weight in zip(self.groups, weights, strict=True)]


def read_aliases(path: str | Path) -> dict[tuple[str, str], str]:
    """Common names of categories, from lines of: data set, category, common name. The category `*` says that all names
    of a data set are common names already. Raises InputError for any other line."""
    table = {}
    for number, line in enumerate(read_lines(path), 1):
        words = line.split(maxsplit=2)
        if not words or line.startswith("#"):
            continue
        if len(words) != 3:
            raise InputError(f"{path}: line {number}: expected data set, category and common name, got {line!r}")
        table[words[0].lower(), words[1]] = words[2]
    return table


def _group(dataset: Many[Sequence], name: str, aliases: Mapping[tuple[str, str], str]) -> dict[str, np.ndarray]:
    if isinstance(dataset, Collection):
        labels = list(dataset.categories)
    else:
        labels = [sequence.category for sequence in dataset]
    found, places = np.unique(np.array(labels, str), return_inverse=True)
    order = np.argsort(places, kind="stable")
    tracks = np.split(order, np.cumsum(np.bincount(places))[:-1])
    groups: dict[str, list[np.ndarray]] = {}
    for label, members in zip(found.tolist(), tracks, strict=True):
        groups.setdefault(_common_name(name, label, aliases), []).append(members)
    return {label: np.concatenate(members) for label, members in groups.items()}


def _common_name(dataset: str, label: str, aliases: Mapping[tuple[str, str], str]) -> str:
    if not label:
        return ""
    if (dataset, label) in aliases:
        return aliases[dataset, label]
    return label if (dataset, "*") in aliases else f"{dataset}:{label}"
