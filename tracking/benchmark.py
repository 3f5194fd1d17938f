r"""How fast the toolbox is on this machine, and how much memory it takes.

python tracking/benchmark.py metrics                                  11 made-up trackers, 245 sequences
python tracking/benchmark.py metrics --annotations DIR --results APFNet=DIR mfDiMP=DIR --json out.json
python tracking/benchmark.py metrics --annotations DIR --results APFNet=DIR --against rgbt --python other/bin/python

metrics: seconds and MiB for scoring result files, for the whole report of them, and for another package beside them.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.errors import InputError, run
from lib.core.machine import describe_machine
from lib.test.formats import format_markdown, format_text, write_text
from lib.test.metrics import LASHER, protocol_of
from lib.test.scoring_benchmark import Task, benchmark_table, measure, summarise, synthetic_task
from lib.test.sources import named_folders, read_videos


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    metrics = commands.add_parser("metrics", help="scoring of result files")
    metrics.add_argument("--dataset_name", default="lasher_test", help="whose rules")
    metrics.add_argument("--annotations", metavar="DIR", help="as of analysis_results.py")
    metrics.add_argument("--attributes", metavar="DIR", help="for the report")
    metrics.add_argument("--results", nargs="+", action="extend", default=[], metavar="NAME=DIR", help="result files")
    made = metrics.add_argument_group("without --results: made-up ones")
    made.add_argument("--trackers", type=int, default=11)
    made.add_argument("--sequences", type=int, default=245)
    made.add_argument("--frames", type=int, default=900, help="mean length of a sequence")
    metrics.add_argument("--against", choices=("rgbt",), help="another package, on the same files")
    metrics.add_argument("--python", default=sys.executable, help="the Python that has the other package")
    metrics.add_argument("--repeats", type=int, default=5)
    metrics.add_argument("--json", metavar="FILE", help="machine, medians and every run")
    metrics.add_argument("--markdown", metavar="FILE", help="the table")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    for option in ("trackers", "sequences", "frames", "repeats"):
        if getattr(args, option) < 1:
            raise InputError(f"--{option} {getattr(args, option)}: expected 1 or more")
    sides = ["toolbox", "report", *([args.against] if args.against else [])]
    with tempfile.TemporaryDirectory() as scratch:
        task = make_task(args, Path(scratch, "made"))
        records = measure(task, sides, Path(scratch), repeats=args.repeats, python=args.python)
    summary, machine = summarise(task, records), describe_machine()
    table = benchmark_table(task, summary, machine, args.repeats)
    print(format_text(table))
    if args.markdown:
        write_text(args.markdown, format_markdown(table) + "\n")
    if args.json:
        what = {"dataset": task.dataset, "trackers": list(task.results)}
        what |= {"sequences": task.sequences, "frames": task.rows, "made_up": not args.results}
        content = {"machine": machine, "task": what, "medians": summary, "runs": records}
        write_text(args.json, json.dumps(content, indent=1) + "\n")


def make_task(args: argparse.Namespace, folder: Path) -> Task:
    """What the command line names, or made-up results."""
    if bool(args.results) != bool(args.annotations):
        raise InputError("--annotations and --results go together; without both, results are made up")
    if args.against and protocol_of(args.dataset_name) is not LASHER:
        raise InputError(
            f"--against {args.against} --dataset_name {args.dataset_name}: only LasHeR's rules are compared"
        )
    if not args.results:
        if protocol_of(args.dataset_name) is not LASHER:
            raise InputError(f"--dataset_name {args.dataset_name}: made-up results follow LasHeR; give --results")
        return synthetic_task(folder, trackers=args.trackers, sequences=args.sequences, frames=args.frames)
    annotations = Path(args.annotations)
    if args.against and not next(annotations.glob("*.txt"), None):
        raise InputError(f"--annotations {annotations}: {args.against} needs <sequence>.txt files there")
    results = {name: path.resolve() for name, path in named_folders(args.results).items()}
    videos = read_videos(args.dataset_name, args.annotations, None)
    rows = sum(len(video.truth.boxes) for video in videos)
    attributes = Path(args.attributes).resolve() if args.attributes else None
    return Task(args.dataset_name, annotations.resolve(), results, len(videos), rows, attributes)


if __name__ == "__main__":
    run(main)
