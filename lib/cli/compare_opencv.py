"""Compare result folders with the static box and OpenCV's trackers (MIL, NanoTrackV2).

    rgbt compare opencv --data_dir DIR --results tiny=output/test/tracking_results/iimf_track/tiny
    rgbt compare opencv --data_dir DIR DIR --nano_backbone FILE.onnx --nano_head FILE.onnx --out table.md

OpenCV's trackers follow one stream each, on one thread. Prints one Markdown table per set: sequences with infrared and
without are separate sets.
The same command gives the same figures; MIL draws from one random generator per process, so that its figures
depend on the sequences that came before.
"""

import argparse
import logging
from pathlib import Path

import cv2

from ..core.atomic import write_atomically
from ..core.errors import run
from ..core.table import format_markdown
from ..datasets.readers.folder import read_folder
from ..datasets.sequence import Sequence
from ..test.analysis.board import Board, Entry, evaluate, videos_of
from ..test.analysis.sources import named_folders
from ..test.demo.baseline import Baseline, baselines, evaluate_baseline
from ..test.metrics import PLAIN
from ..test.report.tables import overall_table, sequence_table
from ..test.results.dialect import find_result
from .options import add_out
from .parser import Parser, Words

log = logging.getLogger(__name__)


def parse_arguments(words: Words) -> argparse.Namespace:
    """The command line."""
    parser = Parser("compare opencv", __doc__, words)
    parser.add_argument("--data_dir", nargs="+", required=True, metavar="DIR", help="folders of sequences")
    parser.add_argument(
        "--results", nargs="+", default=[], metavar="NAME=DIR", help="any folder of <sequence>.txt files"
    )
    parser.add_argument("--nano_backbone", metavar="FILE", help="NanoTrackV2's backbone, ONNX")
    parser.add_argument("--nano_head", metavar="FILE", help="NanoTrackV2's head, ONNX")
    parser.add_argument("--per_sequence", action="store_true", help="one more table per set, by sequence")
    add_out(parser, what="write the tables here too", metavar="FILE.md")
    return parser.read()


def main(words: Words = None) -> None:
    """Follow, score, print a table for each set."""
    args = parse_arguments(words)
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    known = baselines(args.nano_backbone, args.nano_head)
    folders = named_folders(args.results)
    parts = []
    for title, sequences in read_sets(args.data_dir):
        entries = compare(sequences, known, folders)
        board = Board(title.split(":")[0], PLAIN, tuple(videos_of(sequences)), tuple(entries))
        parts.append(f"### {title}\n\n{format_markdown(overall_table(board))}")
        if args.per_sequence:
            parts += [format_markdown(sequence_table(board, metric)) for metric in board.metrics]
    text = "\n\n".join(parts) + "\n"
    print(text)
    if args.out:
        with write_atomically(args.out) as temporary:
            temporary.write_text(text, encoding="utf-8")


def read_sets(data_dirs: list[str]) -> list[tuple[str, list[Sequence]]]:
    """Title and scorable sequences of each set: those of a folder with infrared, and those without."""
    sets = []
    for data_dir in data_dirs:
        sequences = read_folder(data_dir)
        scored = {video.name for video in videos_of(sequences)}
        for kind, modalities in (("RGB-T", 2), ("RGB", 1)):
            part = [item for item in sequences if item.name in scored and len(item.frames.modalities) == modalities]
            if part:
                title = f"{Path(data_dir).resolve().name}: {len(part)} {kind} sequences, {sum(map(len, part))} frames"
                sets.append((title, part))
    return sets


def compare(sequences: list[Sequence], known: list[Baseline], folders: dict[str, Path]) -> list[Entry]:
    """One entry per baseline and stream, one per result folder that knows these sequences."""
    entries = []
    for baseline in known:
        streams = len(sequences[0].frames.modalities) if baseline.looks else 1
        entries += [evaluate_baseline(baseline, sequences, stream, PLAIN) for stream in range(streams)]
    videos = videos_of(sequences)
    for name, folder in folders.items():
        if any(find_result(folder, video.name) for video in videos):
            entries.append(evaluate(name, folder, videos, PLAIN, remedy="track the whole set"))
        else:
            log.warning("%s: %s has no results for this set (%s, …)", name, folder, videos[0].name)
    return entries


if __name__ == "__main__":
    run(main)
