"""Compare result folders with the static box and OpenCV's trackers (MIL, NanoTrackV2).

    rgbt compare opencv --data_dir DIR --results tiny=output/test/tracking_results/iimf_track/tiny
    rgbt compare opencv --data_dir DIR DIR --nano_backbone FILE.onnx --nano_head FILE.onnx --out table.md

OpenCV's trackers read one stream each and run on one thread. Prints one Markdown table per set; sequences with and
without infrared are separate sets.
The same command gives the same figures. MIL draws from one random generator per process, so that its figures depend on
the sequences before.
"""

import argparse
import copy
import functools
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2

from ..core.atomic import write_atomically
from ..core.errors import InputError, run
from ..core.table import format_markdown
from ..datasets.readers.folder import read_folder
from ..datasets.sequence import Sequence
from ..test.analysis.leaderboard import Leaderboard, LeaderboardEntry, evaluate, select_scored
from ..test.analysis.sources import named_folders
from ..test.evaluation.engine import TrackingJob, run_tracking
from ..test.evaluation.open import Run, load_tracker, open_run
from ..test.metrics import PLAIN
from ..test.report.tables import overall_table, sequence_table
from ..test.results.dialect import find_result
from ..test.results.files import write_result
from ..test.results.origin import check_scored
from .options import add_out
from .parser import Argv, Parser

log = logging.getLogger(__name__)


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("compare opencv", __doc__, argv)
    parser.add_argument("--data_dir", nargs="+", required=True, metavar="DIR", help="one or more folders of sequences")
    parser.add_argument(
        "--results",
        nargs="+",
        default=[],
        metavar="NAME=DIR",
        help="name in the tables and folder of <sequence>.txt files, one or more",
    )
    parser.add_argument("--nano_backbone", metavar="FILE", help="backbone of NanoTrackV2, an ONNX file")
    parser.add_argument("--nano_head", metavar="FILE", help="head of NanoTrackV2, an ONNX file")
    parser.add_argument("--per_sequence", action="store_true", help="also print figures by sequence")
    add_out(parser, what="also write the tables into this file", metavar="FILE.md")
    return parser.read()


def main(argv: Argv = None) -> None:
    """Track, score, print a table for each set."""
    args = parse_arguments(argv)
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    known = known_trackers(args.nano_backbone, args.nano_head)
    folders = named_folders(args.results)
    parts = []
    for title, sequences in read_sets(args.data_dir):
        entries = compare(sequences, known, folders)
        board = Leaderboard(title.split(":")[0], PLAIN, tuple(select_scored(sequences)), tuple(entries))
        parts.append(f"### {title}\n\n{format_markdown(overall_table(board))}")
        if args.per_sequence:
            parts += [format_markdown(sequence_table(board, metric)) for metric in board.metrics]
    text = "\n\n".join(parts) + "\n"
    print(text)
    if args.out:
        with write_atomically(args.out) as temporary:
            temporary.write_text(text, encoding="utf-8")


def read_sets(data_dirs: list[str]) -> list[tuple[str, list[Sequence]]]:
    """Title and annotated sequences of each set; a folder's sequences with and without infrared are two sets."""
    sets = []
    for data_dir in data_dirs:
        sequences = read_folder(data_dir)
        scored = {video.name for video in select_scored(sequences)}
        for kind, modalities in (("RGB-T", 2), ("RGB", 1)):
            part = [item for item in sequences if item.name in scored and len(item.frames.modalities) == modalities]
            if part:
                title = f"{Path(data_dir).resolve().name}: {len(part)} {kind} sequences, {sum(map(len, part))} frames"
                sets.append((title, part))
    return sets


def known_trackers(backbone: str | None, head: str | None) -> dict[str, Run]:
    """Name in tables -> tracker: static box and MIL, and NanoTrackV2 if both of its ONNX files are given. A warning
    names what this build of OpenCV lacks. Raises InputError for a missing ONNX file."""
    found = {"static box": open_run("opencv", "static")}
    try:
        open_run("opencv", "mil").load()
        found["OpenCV MIL"] = open_run("opencv", "mil")
    except InputError as error:
        log.warning("OpenCV MIL is left out: %s", error)
    if backbone is None and head is None:
        log.info("NanoTrackV2 is left out: --nano_backbone and --nano_head name its ONNX files")
        return found
    files = {"--nano_backbone": backbone, "--nano_head": head}
    for option, path in files.items():
        if path is None or not Path(path).is_file():
            raise InputError(f"{option} {path}: file does not exist; NanoTrackV2 needs both of its ONNX files")
    changes = [f"MODEL.BACKBONE_FILE={backbone}", f"MODEL.HEAD_FILE={head}"]
    return found | {"NanoTrackV2": open_run("opencv", "nano", changes)}


def compare(sequences: list[Sequence], known: dict[str, Run], folders: dict[str, Path]) -> list[LeaderboardEntry]:
    """One entry per tracker and stream, and one per result folder that has results of these sequences."""
    videos, entries = select_scored(sequences), []
    for name, tracker in known.items():
        streams = sequences[0].frames.modalities if name != "static box" else ("",)
        for stream in streams:
            entries.append(track_and_score(f"{name}, {stream}".rstrip(", "), tracker, stream, sequences))
    for name, folder in folders.items():
        if any(find_result(folder, video.name) for video in videos):
            check_scored(folder, "", {video.name: video.truth.first_boxes for video in videos})
            entries.append(evaluate(name, folder, videos, PLAIN, remedy="track the whole set"))
        else:
            log.warning("%s: %s has no results for this set (%s, …)", name, folder, videos[0].name)
    return entries


def track_and_score(name: str, tracker: Run, stream: str, sequences: list[Sequence]) -> LeaderboardEntry:
    """Track in one stream of the sequences and score the results. stream: "" for a tracker that reads no image."""
    cfg = copy.deepcopy(tracker.cfg)
    cfg.TEST.STREAM = stream or cfg.TEST.STREAM
    with tempfile.TemporaryDirectory() as folder:
        job = TrackingJob(
            functools.partial(load_tracker, cfg, None), functools.partial(write_result, folder), sequences, True
        )
        run_tracking(job, ["cpu"])
        entry = evaluate(name, Path(folder), select_scored(sequences), PLAIN)
    return entry if stream else replace(entry, speed=None)


if __name__ == "__main__":
    run(main)
