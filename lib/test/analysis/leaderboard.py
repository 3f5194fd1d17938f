"""Scoring result folders: which results exist, their scores, the speed of the trackers."""

import logging
from collections.abc import Iterable
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...datasets.sequence import Sequence
from ..metrics import GroundTruth, Metric, Protocol, Scores, match_rows, score
from ..results.dialect import find_result, read_confidence, read_result
from ..results.files import read_both_seconds, result_paths
from .result_checks import warn_of_implausible, warn_of_surplus

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredSequence:
    """A sequence as scoring needs it: its ground truth, no images."""

    name: str
    truth: GroundTruth
    attributes: frozenset[str] = frozenset()  # those that the sequence has


@dataclass(frozen=True, eq=False)
class LeaderboardEntry:
    """A tracker with its scores and speed on one data set: one line of a table."""

    name: str
    sequences: tuple[str, ...]  # [S] names, in the order of the scores
    scores: Scores  # of one run, or the mean of several
    speed: float | None  # frames per second of the tracker alone; None without time files
    missing: tuple[str, ...] = ()  # sequences without a result
    runs: tuple[Scores, ...] = ()  # scores of each run, where there are several
    whole_speed: float | None = None  # frames per second with reading the images; None where no time file has it

    @property
    def spread(self) -> dict[str, float]:
        """Metric name -> standard deviation over the runs (n - 1 in the denominator); empty for a single run."""
        figures = [run.overall for run in self.runs]
        return {name: float(np.std([row[name] for row in figures], ddof=1)) for name in figures[0]} if figures else {}


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """All trackers on one data set."""

    dataset: str
    protocol: Protocol
    sequences: tuple[ScoredSequence, ...]
    entries: tuple[LeaderboardEntry, ...]

    @property
    def attributes(self) -> dict[str, list[str]]:
        """Attribute -> names of the sequences that have it, in alphabetical order."""
        names = sorted({name for video in self.sequences for name in video.attributes})
        return {name: [video.name for video in self.sequences if name in video.attributes] for name in names}

    @property
    def main(self) -> Metric:
        """The metric that the benchmark ranks by: its first one about overlap (SR, MSR, AUC, AO)."""
        return next(metric for metric in self.protocol.metrics if metric.measure == "overlap")

    @property
    def metrics(self) -> list[Metric]:
        """All metrics, the main one first."""
        return [self.main, *(metric for metric in self.protocol.metrics if metric is not self.main)]

    def ranked(self, metric: Metric) -> list[LeaderboardEntry]:
        """The trackers, best first."""
        better = metric.higher_is_better
        return sorted(self.entries, key=lambda entry: entry.scores.overall[metric.name], reverse=better)


def select_scored(sequences: Iterable[Sequence]) -> list[ScoredSequence]:
    """The sequences that can be scored. Warns of those that are annotated in the first frame only.

    Raises InputError when none can be scored.
    """
    videos, unscored = [], []
    for sequence in sequences:
        if len(sequence.boxes) < (2 if sequence.annotated is not None else len(sequence)):
            unscored.append(sequence.name)
            continue
        absent = None if sequence.visible_share is None else sequence.visible_share <= 0
        attributes = frozenset(name for name, there in sequence.attributes.items() if there)
        truth = GroundTruth(sequence.boxes, sequence.boxes_infrared, absent, sequence.annotated, sequence.size)
        videos.append(ScoredSequence(sequence.name, truth, attributes))
    if unscored:
        log.warning("not scored, annotated in the first frame only: %s", ", ".join(unscored))
    if not videos:
        raise InputError("nothing to score: no sequence is annotated after its first frame")
    return videos


def evaluate(
    name: str,
    folder: Path,
    videos: Many[ScoredSequence],
    protocol: Protocol,
    *,
    allow_missing: bool = False,
    remedy: str = "",
) -> LeaderboardEntry:
    """Score the result files of one tracker.

    allow_missing: score the sequences that have results, with a warning. remedy: how to make missing results, for the
    error message. Raises InputError for missing, short and malformed files.
    """
    found = {video.name: find_result(folder, video.name) for video in videos}
    there = [video for video in videos if found[video.name] is not None]
    missing = tuple(name for name, path in found.items() if path is None)
    if missing:
        lack = f"{folder}: {len(missing)} of {len(videos)} results are missing: {shortened(missing)}"
        if not allow_missing or not there:
            raise InputError(f"{lack}; {remedy or 'score what is there with --allow_missing'}")
        log.warning("%s; %s is scored on the other %d only", lack, name, len(there))
    paths = [path for path in found.values() if path is not None]
    truths = [video.truth for video in there]
    results = [read_result(path) for path in paths]
    if protocol.confident:
        results = _with_confidence(name, paths, [video.name for video in there], results)
    warn_of_surplus(name, paths, truths, results)
    results = [_matched(*items, protocol) for items in zip(paths, truths, results, strict=True)]
    warn_of_implausible(name, paths, truths, [rows[:, :4] for rows in results])
    scores = score(protocol, truths, results)
    speed, whole_speed = read_speeds(folder, there)
    return LeaderboardEntry(name, tuple(video.name for video in there), scores, speed, missing, whole_speed=whole_speed)


def average(name: str, runs: Many[LeaderboardEntry]) -> LeaderboardEntry:
    """One entry for several runs: the mean of their scores on the sequences that all of them have.

    Raises InputError when the runs have no sequence in common.
    """
    shared = shared_sequences(runs)
    if not shared:
        raise InputError(f"{name}: its {len(runs)} runs have no sequence in common")
    parts = [scores_on(run, shared) for run in runs]
    curves = tuple(np.mean(group, axis=0) for group in zip(*(part.curves for part in parts), strict=True))
    missing = dict.fromkeys(video for run in runs for video in (*run.sequences, *run.missing) if video not in shared)
    scores = replace(parts[0], curves=curves)
    speed, whole_speed = _mean(run.speed for run in runs), _mean(run.whole_speed for run in runs)
    return LeaderboardEntry(name, shared, scores, speed, tuple(missing), tuple(parts), whole_speed)


def shared_sequences(entries: Many[LeaderboardEntry]) -> tuple[str, ...]:
    """The sequences that all trackers were scored on, in the order of the first."""
    others = set.intersection(*(set(entry.sequences) for entry in entries))
    return tuple(video for video in entries[0].sequences if video in others)


def scores_on(entry: LeaderboardEntry, videos: Iterable[str]) -> Scores:
    """The scores on some of the entry's sequences. Raises KeyError for a sequence that the entry lacks."""
    place = {video: index for index, video in enumerate(entry.sequences)}
    rows = [place[video] for video in videos]
    scores = entry.scores
    return replace(scores, curves=tuple(curve[rows] for curve in scores.curves), frames=scores.frames[rows])


def read_speeds(folder: Path, videos: Iterable[ScoredSequence]) -> tuple[float | None, float | None]:
    """Frames per second of the tracker alone and with reading the images, over all sequences with a time file; None
    where there is no time file."""
    paths = [result_paths(folder, video.name)[1] for video in videos]
    times = [read_both_seconds(path) for path in paths if path.is_file()]
    alone, whole = [part[:, 0] for part in times], [part[:, 1] for part in times if not np.isnan(part).any()]
    return speed_of(alone), speed_of(whole)


def speed_of(seconds: Iterable[np.ndarray]) -> float | None:
    """Tracked frames per second from [T] seconds of each sequence; first frames (the initialisation) do not count."""
    tracked = [part[1:] for part in seconds]
    total = sum(float(part.sum()) for part in tracked)
    return sum(map(len, tracked)) / total if total > 0 else None


def _mean(speeds: Iterable[float | None]) -> float | None:
    known = [speed for speed in speeds if speed is not None]
    return float(np.mean(known)) if known else None


def shortened(names: Many[str], most: int = 3) -> str:
    """The first names and, where there are more, an ellipsis."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _with_confidence(name: str, paths: Many[Path], videos: Many[str], results: Many[np.ndarray]) -> list[np.ndarray]:
    """The results [T, 4] with the confidences from the files beside them, [T, 6]. Without any such file the results
    stay as they are, with a warning."""
    known = [read_confidence(*place) for place in zip(paths, videos, strict=True)]
    lacking = [path for path, rows in zip(paths, known, strict=True) if rows is None]
    whole = [rows for rows in known if rows is not None]
    if not whole:
        log.warning("%s: no <sequence>_confidence.txt beside its results: every box counts as certain", name)
        return list(results)
    if lacking:
        count = f"{len(lacking)} of {len(known)} results have no <sequence>_confidence.txt"
        raise InputError(f"{name}: {count}, the first: {lacking[0]}; track them again, or remove those of the others")
    for path, boxes, rows in zip(paths, results, whole, strict=True):
        if len(rows) != len(boxes):
            raise InputError(f"{path}: {len(boxes)} boxes and {len(rows)} confidences; track the sequence again")
    return [np.concatenate(pair, axis=1) for pair in zip(results, whole, strict=True)]


def _matched(path: Path, truth: GroundTruth, result: np.ndarray, protocol: Protocol) -> np.ndarray:
    """The result with one row per annotated frame: [T, C]."""
    try:
        return match_rows(truth, result, protocol.missing)
    except ValueError as error:
        raise InputError(f"{path}: {error}; the result is cut short: remove it and track it again") from None
