"""Result folders and sequences that the options of a scoring command name."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ...core.errors import InputError
from ...core.paths import read_local, typed_command
from ...datasets.named import open_dataset
from ..results.files import result_folder
from .annotations import read_ground_truths
from .leaderboard import ScoredSequence, select_scored


class ResultSource(NamedTuple):
    """Where the results of one tracker lie."""

    name: str
    folders: tuple[Path, ...]  # one per run
    dataset: str | None = None  # None: results of any data set
    remedy: str = ""  # how to make missing results, for error messages

    def folders_for(self, dataset: str) -> tuple[Path, ...]:
        """The folders with results of one data set: the subfolder of its name where there is one."""
        return tuple(folder / dataset if (folder / dataset).is_dir() else folder for folder in self.folders)


def named_sources(options: Iterable[str], datasets: Iterable[str] = ()) -> list[ResultSource]:
    """The folders that `--results` names, as `NAME=DIR` or `SET:NAME=DIR`.

    Raises InputError for anything else and for a name given twice for one set.
    """
    sources: list[ResultSource] = []
    for option in options:
        name, _, folder = option.partition("=")
        dataset, colon, rest = name.partition(":")
        own = dataset if colon and dataset in datasets else None
        name = rest if own else name
        if not (name and folder and Path(folder).is_dir()):
            raise InputError(f"--results {option}: expected NAME=DIR with a folder of <sequence>.txt files")
        if any(source.name == name and (own is None or source.dataset in (None, own)) for source in sources):
            raise InputError(f"--results {option}: {name} is given twice")
        sources.append(ResultSource(name, (Path(folder),), own))
    return sources


def named_folders(options: Iterable[str]) -> dict[str, Path]:
    """Name -> folder from `NAME=DIR` options, without data sets. Raises InputError as `named_sources`."""
    return {source.name: source.folders[0] for source in named_sources(options)}


def paired(names: list[str], configs: list[str]) -> list[tuple[str, str]]:
    """Pairs of tracker and configuration. One tracker goes with several configurations, one configuration with several
    trackers; equal numbers are paired in order. Raises InputError for other counts."""
    if bool(names) != bool(configs):
        raise InputError("--tracker_name and --tracker_param go together")
    if len(names) != len(configs) and 1 not in (len(names), len(configs)):
        raise InputError(f"{len(names)} --tracker_name for {len(configs)} --tracker_param: give one, or as many")
    count = max(len(names), len(configs))
    return list(zip(names * (count // max(len(names), 1)), configs * (count // max(len(configs), 1)), strict=True))


def own_source(results_dir: str | Path, tracker: str, config: str, runids: list[int], options: str) -> ResultSource:
    """The results of a tracker of this toolbox; options: of the tracking command that would make them."""
    folders = [result_folder(results_dir, tracker, config, runid) for runid in (runids or (None,))]
    command = f"{typed_command('test', 'test')} {tracker} {config} {options}"
    runs = f" --runid {' or '.join(map(str, runids))}" if runids else ""
    name = f"{tracker}/{folders[0].name}" if len(folders) == 1 else f"{tracker}/{config}"
    remedy = f"make them with: {command}{runs}  (or score the finished ones: --allow_missing)"
    return ResultSource(name, tuple(folders), remedy=remedy)


def read_scored(dataset: str, annotations: str | None, data_dir: str | None) -> list[ScoredSequence]:
    """The sequences of a data set with their ground truth. Raises InputError for missing or contradictory input."""
    if annotations:
        return [ScoredSequence(name, truth) for name, truth in read_ground_truths(dataset, annotations).items()]
    return select_scored(open_dataset(dataset, data_dir, lambda: read_local("test")))
