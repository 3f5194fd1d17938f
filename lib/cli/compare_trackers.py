r"""Track several sets of sequences with several trackers, and write one page of tables.

    rgbt compare trackers opencv:static opencv:mil:visible iimf_track:tiny --data_dir DIR --out DIR
    rgbt compare trackers "NanoTrackV2, infrared=opencv:nano:infrared" "IIMF tiny=iimf_track:tiny" \
        --data_dir TNO=DIR RGB=DIR --nano_backbone FILE.onnx --nano_head FILE.onnx --per_sequence --out DIR

A tracker is [NAME=]TRACKER:CONFIG[:STREAM][@FILE]; STREAM (visible or infrared) is TEST.STREAM of the configuration.
Weights are those of FILE, else of the newest training, else the bundled ones. A set is [NAME=]DIR.
--out gets page.md, figures.csv and the results, results/<set>/<cameras>/<tracker>/<config>/: what is finished there is
not tracked again, so the same command goes on where it was stopped, and tracks new trackers alone.
Trackers of both cameras are also tracked with one camera removed, failing in mid-sequence, or replaced by noise
(--cameras). Frames in which the target is hidden (0,0,0,0) are left out of all figures.
With --backend onnxruntime, PyTorch computes the networks that cannot be exported.
OpenCV's trackers run on one thread. MIL draws from one random generator per process, so that its figures depend on the
sequences before.
"""

import argparse
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from ..core.atomic import check_no_folder
from ..core.errors import InputError, run
from ..core.table import format_text, write_csv, write_text
from ..core.words import counted
from ..datasets.camera import CAMERAS
from ..datasets.named import FOLDER, data_name
from ..datasets.readers.folder import read_folder
from ..datasets.sequence import Sequence
from ..test.analysis.leaderboard import Leaderboard, evaluate, select_scored
from ..test.evaluation.complete import complete_results
from ..test.evaluation.conditions import CONDITIONS, RECORDED
from ..test.evaluation.open import Run, open_run
from ..test.evaluation.record import digest
from ..test.metrics import PLAIN_IOU
from ..test.report.comparison import ComparedSet, comparison_page, comparison_rows, comparison_tables
from ..test.results.origin import check_scored
from ..test.tracker.forward_pass import EXACT, Mode
from .options import add_backend, add_device, add_out
from .parser import Argv, Parser

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contestant:
    """A tracker of the comparison."""

    name: str  # in tables
    run: Run
    stream: str  # of TEST.STREAM; "both" for trackers of both cameras, "" for the static box
    mode: Mode = EXACT

    @property
    def place(self) -> Path:
        """Where its results lie in the folder of a set and condition."""
        suffix = f"_{self.stream}" if self.stream in CAMERAS else ""
        return Path(self.run.tracker) / f"{self.run.config}{suffix}"


@dataclass(frozen=True)
class ContestSet:
    """Annotated sequences with the same cameras."""

    name: str  # in tables and of the folder of results
    folder: str
    sequences: list[Sequence]

    @property
    def title(self) -> str:
        """The heading of its tables."""
        kind = "RGB-T" if self.modalities == CAMERAS else "RGB"
        frames = counted(sum(map(len, self.sequences)), "frame")
        return f"{self.name}: {counted(len(self.sequences), f'{kind} sequence')}, {frames}"

    @property
    def modalities(self) -> tuple[str, ...]:
        """The cameras of its sequences."""
        return self.sequences[0].frames.modalities


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("compare trackers", __doc__, argv)
    form = "[NAME=]TRACKER:CONFIG[:STREAM][@FILE]"
    parser.add_argument("trackers", nargs="+", metavar=form, help="one or more trackers")
    parser.add_argument("--data_dir", nargs="+", required=True, metavar="[NAME=]DIR", help="folders of sequences")
    parser.add_argument(
        "--cameras", nargs="+", choices=tuple(CONDITIONS), default=list(CONDITIONS), metavar="CASE",
        help=f"what happens to the cameras, for trackers of both: {', '.join(CONDITIONS)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--reference", metavar="NAME", help="tracker that others are tested against (default: the best)"
    )
    parser.add_argument("--per_sequence", action="store_true", help="also figures by sequence")
    parser.add_argument("--tables_only", action="store_true", help="track nothing; tables of what is finished")
    parser.add_argument("--nano_backbone", metavar="FILE", help="backbone of NanoTrackV2, an ONNX file")
    parser.add_argument("--nano_head", metavar="FILE", help="head of NanoTrackV2, an ONNX file")
    add_device(parser)
    add_backend(parser)
    add_out(parser, what="folder for the page, the figures and the results", required=True)
    return parser.read()


def main(argv: Argv = None) -> None:
    """Track, score, print the tables, write the page and the figures."""
    args = parse_arguments(argv)
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    contestants = [open_contestant(text, args) for text in args.trackers]
    check_distinct("tracker", [contestant.name for contestant in contestants])
    sets = [found for text in args.data_dir for found in read_sets(text)]
    check_distinct("set", [found.name for found in sets])
    out = Path(args.out)
    check_no_folder(out / "page.md", out / "figures.csv")
    compared = [compare(found, contestants, out, args) for found in sets]
    tables = [
        (item.title, comparison_tables(item, args.reference, per_sequence=args.per_sequence)) for item in compared
    ]
    print("\n\n".join(format_text(table) for _, parts in tables for table in parts))
    write_text(out / "page.md", comparison_page(tables))
    write_csv(out / "figures.csv", comparison_rows(compared))
    print(f"written: {out / 'page.md'}, {out / 'figures.csv'}")


def open_contestant(text: str, args: argparse.Namespace) -> Contestant:
    """The tracker that `[NAME=]TRACKER:CONFIG[:STREAM][@FILE]` describes. Raises InputError for another form, and as
    `open_run`."""
    text, _, checkpoint = text.partition("@")
    name, _, what = text.rpartition("=")
    parts = what.split(":")
    if len(parts) not in (2, 3) or not all(parts):
        raise InputError(f"{text}: expected [NAME=]TRACKER:CONFIG[:STREAM][@FILE], for example tiny=iimf_track:tiny")
    changes = [f"TEST.STREAM={parts[2]}"] if len(parts) == 3 else []
    files = {"MODEL.BACKBONE_FILE": args.nano_backbone, "MODEL.HEAD_FILE": args.nano_head}
    if parts[0] == "opencv" and parts[1].startswith("nano"):
        changes += [f"{key}={file}" for key, file in files.items() if file]
    opened = open_run(parts[0], parts[1], changes, checkpoint=checkpoint or None, device=args.device)
    for file in opened.files:
        digest(file)  # refuses missing ones before anything is tracked
    stream = opened.cfg.TEST.get("STREAM", "both" if opened.modalities == len(CAMERAS) else "visible")
    stream = "" if opened.cfg.MODEL.NAME == "static" else stream
    name = name or f"{' '.join(parts[:2])}{f', {parts[2]}' if len(parts) == 3 else ''}"
    return Contestant(name, opened, stream, choose_mode(name, opened, args.backend))


def choose_mode(name: str, opened: Run, backend: str) -> Mode:
    """A mode with this backend where it can compute the tracker's network; else PyTorch's, and a line says so."""
    mode = Mode(backend=backend)
    if mode == EXACT or opened.checkpoint is None:
        return EXACT
    try:
        opened.prepare(mode)
    except InputError as error:
        log.info("%s: computed by PyTorch (%s)", name, error)
        return EXACT
    return mode


def read_sets(text: str) -> list[ContestSet]:
    """The annotated sequences of `[NAME=]DIR`; those with and without infrared are two sets."""
    name, _, folder = text.rpartition("=")
    name = name or Path(folder).resolve().name
    if name in (".", "..") or Path(name).name != name:
        raise InputError(f"--data_dir {text}: {name!r} names a folder of results; give a name without slashes")
    sequences = read_folder(folder)
    scored = {video.name for video in select_scored(sequences)}
    kinds: dict[int, list[Sequence]] = {}
    for sequence in sequences:
        if sequence.name in scored:
            kinds.setdefault(len(sequence.frames.modalities), []).append(sequence)
    single = len(kinds) == 1
    return [
        ContestSet(name if single or kind == 2 else f"{name} RGB", folder, kinds[kind]) for kind in sorted(kinds)[::-1]
    ]


def check_distinct(what: str, names: list[str]) -> None:
    """Raises InputError for a name that is given twice."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{what} {twice!r} is given twice; give one of them another name, NAME=…")


def compare(found: ContestSet, contestants: list[Contestant], out: Path, args: argparse.Namespace) -> ComparedSet:
    """Track one set with all trackers that can, and score what is finished."""
    able = [item for item in contestants if item.stream in (*found.modalities, "both", "")]
    both = [item for item in able if item.stream == "both"] if found.modalities == CAMERAS else []
    cases = [case for case in args.cameras if case != RECORDED] if both else []
    boards = {
        case: follow(found, able if case == RECORDED else both, case, out / "results", args.tables_only)
        for case in (RECORDED, *cases)
    }
    if not boards[RECORDED].entries:
        raise InputError(f"{found.name}: no tracker is finished on it; run the command without --tables_only")
    recorded = boards.pop(RECORDED)
    return ComparedSet(found.title, recorded, {case: board for case, board in boards.items() if board.entries})


def follow(found: ContestSet, contestants: list[Contestant], case: str, results: Path, finished: bool) -> Leaderboard:
    """Track with each tracker, and score it. finished: track nothing, and leave out who lacks results."""
    videos, entries = select_scored(found.sequences), []
    starts, data = {video.name: video.truth.first_boxes for video in videos}, data_name(FOLDER, found.folder)
    sequences = [CONDITIONS[case](sequence) for sequence in found.sequences]
    for item in contestants:
        folder = results / found.name / case / item.place
        if finished and not all((folder / f"{video.name}.txt").is_file() for video in videos):
            log.warning("%s, %s: %s has no whole results and is left out", found.name, case, item.name)
            continue
        if not finished:
            log.info("%s, %s: %s", found.name, case, item.name)
            complete_results(item.run, sequences, folder, data, item.mode)
        check_scored(folder, data, starts)
        entry = evaluate(item.name, folder, videos, PLAIN_IOU)
        entries.append(entry if item.stream else replace(entry, speed=None, whole_speed=None))
    return Leaderboard(found.name, PLAIN_IOU, tuple(videos), tuple(entries))


if __name__ == "__main__":
    run(main)
