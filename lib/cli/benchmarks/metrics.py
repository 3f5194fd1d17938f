"""Measure seconds and MiB of scoring result files, of the whole report, and of another package on the same files.

rgbt benchmark metrics                                  11 synthetic trackers, 245 sequences
rgbt benchmark metrics --annotations DIR --results APFNet=DIR mfDiMP=DIR --json out.json
rgbt benchmark metrics --annotations DIR --results APFNet=DIR --against rgbt --python other/bin/python
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from ...core.errors import InputError
from ...core.measure.benchmark import Report
from ...core.measure.machine import describe_machine
from ...test.analysis.sources import named_folders, read_scored
from ...test.benchmarks.scoring import ScoringTask, benchmark_table, measure_scoring, summarise, synthetic_task
from ...test.metrics import LASHER, protocol_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is scored, and which package is compared."""
    parser.add_argument(
        "--dataset_name", default="lasher_test", help="data set whose rules are used (default: lasher_test)"
    )
    parser.add_argument("--annotations", metavar="DIR", help="folder of the annotations")
    parser.add_argument("--attributes", metavar="DIR", help="folder of the attribute files, for the report")
    parser.add_argument("--results", nargs="+", action="extend", default=[], metavar="NAME=DIR",
                        help="name and folder of result files, one or more")  # fmt: skip
    made = parser.add_argument_group("without --results: synthetic result files")
    made.add_argument("--trackers", type=int, default=11, help="number of trackers (default: 11)")
    made.add_argument("--sequences", type=int, default=245, help="number of sequences (default: 245)")
    made.add_argument("--frames", type=int, default=900, help="mean length of a sequence (default: 900)")
    parser.add_argument("--against", choices=("rgbt",), help="another package to compare, on the same files")
    parser.add_argument(
        "--python", default=sys.executable, help="the Python that has the other package (default: this one)"
    )


def measure(args: argparse.Namespace) -> Report:
    """Score in turns. Raises InputError for results that cannot be scored or compared."""
    for option in ("trackers", "sequences", "frames"):
        if getattr(args, option) < 1:
            raise InputError(f"--{option} {getattr(args, option)}: expected 1 or more")
    sides = ["toolbox", "report", *([args.against] if args.against else [])]
    with tempfile.TemporaryDirectory() as scratch:
        task = make_task(args, Path(scratch, "made"))
        records = measure_scoring(task, sides, Path(scratch), repeats=args.repeats, python=args.python)
    summary, machine = summarise(task, records), describe_machine()
    what: dict[str, Any] = {"dataset": task.dataset, "trackers": list(task.results)}
    what |= {"sequences": task.sequences, "frames": task.rows, "made_up": not args.results}
    content = {"machine": machine, "task": what, "medians": summary, "runs": records}
    return Report([benchmark_table(task, summary, machine, args.repeats)], content)


def make_task(args: argparse.Namespace, folder: Path) -> ScoringTask:
    """The results that the command line names, or synthetic ones."""
    if bool(args.results) != bool(args.annotations):
        raise InputError("--annotations and --results go together; without both, results are synthetic")
    if args.against and protocol_of(args.dataset_name) is not LASHER:
        raise InputError(
            f"--against {args.against} --dataset_name {args.dataset_name}: only LasHeR's rules are compared"
        )
    if not args.results:
        if protocol_of(args.dataset_name) is not LASHER:
            raise InputError(f"--dataset_name {args.dataset_name}: synthetic results follow LasHeR; give --results")
        return synthetic_task(folder, trackers=args.trackers, sequences=args.sequences, frames=args.frames)
    annotations = Path(args.annotations)
    if args.against and not next(annotations.glob("*.txt"), None):
        raise InputError(f"--annotations {annotations}: {args.against} needs <sequence>.txt files there")
    results = {name: path.resolve() for name, path in named_folders(args.results).items()}
    videos = read_scored(args.dataset_name, args.annotations, None)
    rows = sum(len(video.truth.boxes) for video in videos)
    attributes = Path(args.attributes).resolve() if args.attributes else None
    return ScoringTask(args.dataset_name, annotations.resolve(), results, len(videos), rows, attributes)
