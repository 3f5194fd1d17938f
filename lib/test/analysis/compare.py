"""Reading and scoring all trackers of one data set, and choosing the trackers that are compared."""

from collections.abc import Sequence as Many
from pathlib import Path

from ...core.errors import InputError
from ...datasets.named import FOLDER, data_name
from ..metrics import PROTOCOLS, protocol_of
from ..results.origin import check_scored
from .attributes import with_attributes
from .leaderboard import Leaderboard, LeaderboardEntry, average, evaluate
from .sources import ResultSource, read_scored


def read_leaderboard(
    dataset: str,
    sources: Many[ResultSource],
    *,
    annotations: str | None = None,
    attributes: str | None = None,
    data_dir: str | None = None,
    rules: str | None = None,
    allow_missing: bool = False,
) -> Leaderboard:
    """Score all trackers that have results of a data set; several runs of one tracker are averaged.

    annotations: a folder to use instead of the data set's; attributes: a folder of flag files; rules: a name in
    PROTOCOLS, instead of the data set's own. Raises InputError for missing, malformed or contradictory input, and for
    results of other data.
    """
    videos = read_scored(dataset, annotations, data_dir)
    if attributes:
        videos = with_attributes(videos, attributes)
    protocol = PROTOCOLS[rules] if rules else protocol_of(dataset)
    entries = []
    data, starts = data_name(dataset, data_dir), {video.name: video.truth.first_boxes for video in videos}
    for source in sources:
        if source.dataset not in (None, dataset):
            continue
        for folder in source.folders_for(dataset):
            check_scored(folder, data, starts)
        runs = [
            evaluate(source.name, folder, videos, protocol, allow_missing=allow_missing, remedy=source.remedy)
            for folder in source.folders_for(dataset)
        ]
        entries.append(runs[0] if len(runs) == 1 else average(source.name, runs))
    if not entries:
        raise InputError(f"--dataset_name {dataset}: no --results for this set")
    title = Path(data_dir).resolve().name if data_dir and dataset.lower() == FOLDER else dataset
    return Leaderboard(title, protocol, tuple(videos), tuple(entries))


def find_entry(board: Leaderboard, name: str, option: str) -> LeaderboardEntry:
    """The tracker of that name. Raises InputError, which names the option, where there is none."""
    for entry in board.entries:
        if entry.name == name:
            return entry
    raise InputError(
        f"{option} {name}: no such tracker on {board.dataset}; there are {', '.join(e.name for e in board.entries)}"
    )


def choose_reference(board: Leaderboard, name: str | None = None) -> LeaderboardEntry:
    """The reference: the tracker that all others are compared with. The named one, else the best."""
    return find_entry(board, name, "--reference") if name else board.ranked(board.main)[0]


def choose_two(board: Leaderboard, names: Many[str] | None = None) -> tuple[LeaderboardEntry, LeaderboardEntry] | None:
    """The two trackers of the scatter plot: the named ones, else the two best; None where there is only one."""
    if names:
        return find_entry(board, names[0], "--versus"), find_entry(board, names[1], "--versus")
    ranked = board.ranked(board.main)
    return (ranked[0], ranked[1]) if len(ranked) > 1 else None
