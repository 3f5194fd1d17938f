"""Comparison with published scores: shows that the rules here are those of the benchmarks' kits."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ...core.errors import InputError
from ...core.table import Table
from ..metrics import PROTOCOLS
from .annotations import read_ground_truths
from .leaderboard import ScoredSequence, evaluate

FIGURES = Path(__file__).parent / "published.csv"
TOLERANCE = 1e-4


class Figure(NamedTuple):
    """One published score of one tracker, in [0, 1]."""

    dataset: str
    tracker: str
    metric: str
    published: float  # as printed, three decimals
    kit: float  # as the benchmark's evaluation kit computes it from the raw results


class Compared(NamedTuple):
    """A published score, and the one that is computed here from the same raw results."""

    figure: Figure
    ours: float

    @property
    def difference(self) -> float:
        """Absolute difference to the kit's score."""
        return abs(self.ours - self.figure.kit)


def read_figures() -> list[Figure]:
    """The scores in `published.csv`."""
    with open(FIGURES, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return [Figure(row[0], row[1], row[2], float(row[3]), float(row[4])) for row in rows]


def compare_figures(root: str | Path) -> list[Compared]:
    """Score the raw results under `root`, in `<set>/groundtruth/` and `<set>/<tracker>/`, of all sets and trackers that
    exist there. Raises InputError when there are none, and for missing or malformed files."""
    figures = read_figures()
    compared = []
    for dataset in dict.fromkeys(figure.dataset for figure in figures):
        folder = Path(root) / dataset
        if not (folder / "groundtruth").is_dir():
            continue
        videos = [
            ScoredSequence(name, truth) for name, truth in read_ground_truths(dataset, folder / "groundtruth").items()
        ]
        for tracker in dict.fromkeys(figure.tracker for figure in figures if figure.dataset == dataset):
            if (folder / tracker).is_dir():
                ours = evaluate(tracker, folder / tracker, videos, PROTOCOLS[dataset]).scores.overall
                mine = [figure for figure in figures if (figure.dataset, figure.tracker) == (dataset, tracker)]
                compared += [Compared(figure, ours[figure.metric]) for figure in mine]
    if not compared:
        sets = ", ".join(dict.fromkeys(figure.dataset for figure in figures))
        raise InputError(f"{root}: no raw results; expected <set>/groundtruth and <set>/<tracker> for {sets}")
    return compared


def comparison_table(compared: Iterable[Compared]) -> Table:
    """One row per score, in percent; a note states the largest difference."""
    compared = list(compared)
    rows = [["data set", "tracker", "metric", "ours", "kit", "difference", "published"]]
    for item in compared:
        dataset, tracker, metric, published, kit = item.figure
        shown = [f"{100 * item.ours:.4f}", f"{100 * kit:.4f}", f"{item.difference:.1e}", f"{100 * published:.1f}"]
        rows.append([dataset, tracker, metric, *shown])
    largest = max(item.difference for item in compared)
    note = f"Largest difference to the kits: {largest:.1e} of 1 ({len(compared)} figures)."
    return Table("Ours, the kits' and the published figures, in percent", rows, (note,))
