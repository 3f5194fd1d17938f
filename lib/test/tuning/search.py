"""Search for the settings that a set of weights tracks best with: many settings, one network per worker.

    <out>/<trial>/<sequence>.txt …     results, as of any run; <trial>: ten digits, a hash of its TEST keys
    <out>/<trial>/config.yaml          the resolved configuration
    <out>/<trial>/record.json          the scores, written when all sequences are tracked
    <out>/data.json                    the data of all trials

A sequence is tracked with up to TOGETHER settings at a time, which share the network's passes and the decoded frames.
The same command continues an interrupted search.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from easydict import EasyDict

from ...core.atomic import write_atomically
from ...core.bounded import parse_json
from ...core.config import flatten, load_config
from ...core.errors import InputError
from ...core.lock import hold
from ...core.schema import read_yaml
from ...datasets.sequence import Sequence
from ..analysis.leaderboard import ScoredSequence, evaluate, select_scored
from ..evaluation.engine import TrackingJob, run_tracking
from ..evaluation.record import digest, find_finished, record_run, undo_without_results
from ..metrics import OXUVA, VOT_LT, Protocol
from ..results.files import result_paths, write_result
from ..results.origin import Origin, add_origins, contradiction, origin_of, read_origins
from .many_settings import CHECKED, MOST, load_settings
from .shared_frames import share_frames
from .space import Setting

RECORD = "record.json"
TOGETHER = MOST  # settings that follow a sequence at the same time


@dataclass(frozen=True)
class Trial:
    """One setting of a tracker, and the folder of its results."""

    name: str  # of its folder
    setting: Setting
    cfg: EasyDict


@dataclass(frozen=True)
class SettingSearch:
    """A search: its trials, the sequences and the rules that score them. Picklable."""

    folder: Path
    trials: tuple[Trial, ...]
    sequences: tuple[Sequence, ...]  # those that can be scored
    videos: tuple[ScoredSequence, ...]
    protocol: Protocol  # the rules of the data set
    checkpoint: Path
    data: str = ""  # as `data_name` says
    together: int = TOGETHER
    joint: str = CHECKED

    @cached_property
    def origins(self) -> dict[str, Origin]:
        """Of the sequences."""
        return {sequence.name: origin_of(sequence, self.data) for sequence in self.sequences}

    def known_origins(self) -> dict[str, Origin]:
        """Of the trials in the folder, which share one record. Raises InputError where they were tracked on other
        data."""
        known = read_origins(self.folder)
        for name, now in self.origins.items():
            if name in known and (other := contradiction(known[name], now)):
                raise InputError(f"{self.folder}: {name} {other}; these are other data: choose another --out")
        return known

    def save(self, name: str, boxes: np.ndarray, seconds: np.ndarray, confidence: np.ndarray) -> None:
        """Write the result of one sequence of one trial; with its last sequence, write the trial's record."""
        trial, _, sequence = name.partition("/")
        write_result(self.folder / trial, sequence, boxes, seconds, confidence)
        self.record(trial)

    def record(self, trial: str) -> None:
        """Write the scores of a trial if all its sequences are tracked."""
        folder = self.folder / trial
        if not all(result_paths(folder, video.name)[0].is_file() for video in self.videos):
            return
        setting = next(known.setting for known in self.trials if known.name == trial)
        content = {"checkpoint": digest(self.checkpoint), "setting": setting}
        content |= score_trial(folder, self.videos, self.protocol)
        with write_atomically(folder / RECORD) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def make_trials(tracker: str, config: str, overrides: Many[str], settings: Iterable[Setting]) -> tuple[Trial, ...]:
    """The trials of some settings, without duplicates; overrides: `KEY=VALUE` texts for all trials.

    Raises InputError for values that the tracker's schema does not allow.
    """
    trials: dict[str, Trial] = {}
    for setting in settings:
        texts = [*overrides, *(f"{key}={value}" for key, value in setting.items())]
        cfg = load_config(tracker, config, texts, option="--search")
        name = hashlib.sha256(json.dumps(decisive(cfg), sort_keys=True).encode()).hexdigest()[:10]
        trials.setdefault(name, Trial(name, setting, cfg))
    return tuple(trials.values())


def allowed_trials(
    tracker: str, config: str, overrides: Many[str], settings: Iterable[Setting]
) -> tuple[tuple[Trial, ...], int]:
    """As `make_trials`, without the settings that the schema does not allow; and how many these are."""
    trials: dict[str, Trial] = {}
    refused = 0
    for setting in settings:
        try:
            trials.update({trial.name: trial for trial in make_trials(tracker, config, overrides, [setting])})
        except InputError:
            refused += 1
    return tuple(trials.values()), refused


def decisive(cfg: Mapping[str, Any]) -> Setting:
    """The settings that distinguish trials of one network: TEST without TEST.EPOCH, which names the checkpoint, and
    TEST.REFINER, since trials have no refiner."""
    left_out = ("TEST.EPOCH", "TEST.REFINER")
    return {key: value for key, value in flatten({"TEST": cfg["TEST"]}).items() if key not in left_out}


def scored_sequences(sequences: Iterable[Sequence]) -> tuple[tuple[Sequence, ...], tuple[ScoredSequence, ...]]:
    """The sequences that can be scored, with and without images. Raises InputError when there are none."""
    sequences = list(sequences)
    videos = {video.name: video for video in select_scored(sequences)}
    return tuple(sequence for sequence in sequences if sequence.name in videos), tuple(videos.values())


def draw_sequences(
    sequences: tuple[Sequence, ...], videos: tuple[ScoredSequence, ...], count: int, seed: int
) -> tuple[tuple[Sequence, ...], tuple[ScoredSequence, ...]]:
    """`count` random sequences, in the order of the set; with the same seed, a larger count has those of a smaller one.

    Raises InputError where there are fewer.
    """
    if count > len(sequences):
        raise InputError(f"--subset {count}: the set has {len(sequences)} sequences that can be scored")
    names = sorted(sequence.name for sequence in sequences)
    order = np.random.default_rng(seed).permutation(len(names))
    kept = {names[index] for index in order[:count]}
    own = tuple(sequence for sequence in sequences if sequence.name in kept)
    return own, tuple(video for video in videos if video.name in kept)


def run_search(search: SettingSearch, devices: Many[str], batch: int = 1) -> None:
    """Track all sequences that are not finished, `batch` at a time in each worker, with a progress bar over frames.

    Raises InputError when the folder holds results of another network or other data, when another search is writing
    there, and as `run_tracking` does.
    """
    with ExitStack() as stack:
        stack.enter_context(hold(search.folder, "choose another --out"))
        stack.enter_context(undo_without_results(search.folder, results="*/*.txt"))
        new = [folder for trial in search.trials if not (folder := search.folder / trial.name).exists()]
        for folder in new:
            stack.enter_context(undo_without_results(folder, RECORD))
        _run_search(search, devices, batch)


def _run_search(search: SettingSearch, devices: Many[str], batch: int) -> None:
    done: dict[str, set[str]] = {}
    known = search.known_origins()
    recorded = {record["folder"] for record in read_records(search.folder, search.videos, search.checkpoint)}
    longest_first = sorted(search.sequences, key=len, reverse=True)
    for trial in search.trials:
        folder = search.folder / trial.name
        record_run(folder, trial.cfg, [search.checkpoint])
        done[trial.name] = find_finished(folder, search.sequences, search.origins, known)
        if trial.name not in recorded:
            search.record(trial.name)
    add_origins(search.folder, search.origins)
    pieces = dict[str, tuple[str, ...]]()
    pending = []
    for first in range(0, len(search.trials), search.together):
        wave = [trial.name for trial in search.trials[first : first + search.together]]
        for sequence in longest_first:
            if left := tuple(trial for trial in wave if sequence.name not in done[trial]):
                pending.append(replace(sequence, name=f"{first}/{sequence.name}"))
                pieces[pending[-1].name] = left
    if pending:
        configs = {trial.name: trial.cfg for trial in search.trials}
        build = partial(load_settings, configs, search.checkpoint, joint=search.joint)
        expand = partial(share_frames, pieces)
        job = TrackingJob(build, search.save, pending, in_order=True, batch=batch, expand=expand)
        run_tracking(job, devices[: len(pending)])


def score_trial(folder: Path, videos: Many[ScoredSequence], protocol: Protocol) -> dict[str, Any]:
    """The scores of a result folder by the rules of its data set and by the long-term rules, in [0, 1]; frames/s."""
    entry = evaluate(folder.name, folder, videos, protocol)
    figures, parts = dict(entry.scores.overall), dict(entry.scores.per_sequence)
    for rules in (VOT_LT, OXUVA):
        if rules is not protocol:
            try:
                scores = evaluate(folder.name, folder, videos, rules).scores
            except ValueError:  # a sequence without a target after its first frame
                continue
            if not np.isnan(list(scores.overall.values())).any():  # without absences a rate is NaN
                figures, parts = figures | scores.overall, parts | scores.per_sequence
    by_video = {video.name: {key: _rounded(parts[key][row]) for key in parts} for row, video in enumerate(videos)}
    return {
        "figures": {key: _rounded(value) for key, value in figures.items()},
        "frames_per_second": entry.speed,
        "videos": by_video,
    }


def read_records(folder: Path, videos: Many[ScoredSequence], checkpoint: Path) -> list[dict[str, Any]]:
    """The records of all complete trials of a folder on exactly these sequences; `test` holds the TEST keys of each.

    Raises InputError for an unreadable record and for trials of another checkpoint.
    """
    records = []
    for path in sorted(folder.glob(f"*/{RECORD}")):
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
            names, of = set(content["videos"]), content["checkpoint"]
        except (ValueError, KeyError, TypeError):
            remedy = "remove it, and the same command makes it anew"
            raise InputError(f"{path}: is not a record of a search; {remedy}") from None
        config = decisive(read_yaml(path.with_name("config.yaml")))
        if of != digest(checkpoint):
            raise InputError(f"{path}: was made with another checkpoint than {checkpoint}; choose another --out")
        if names == {video.name for video in videos}:
            records.append(content | {"test": config, "folder": path.parent.name})
    return records


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
