"""How fast the toolbox is on this machine, and how much memory it takes.

python tracking/benchmark.py metrics                      scoring of result files
python tracking/benchmark.py data                         training pairs of the loader
python tracking/benchmark.py train                        a training step
python tracking/benchmark.py model                        a network's look at a search region
python tracking/benchmark.py track                        tracking, from files to results
python tracking/benchmark.py metrics --help               what else it takes
python tracking/benchmark.py metrics --json out.json --markdown out.md
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.errors import InputError, run
from lib.core.table import format_markdown, format_text, write_text

#: Command -> what it measures. Each is a file of tracking/benchmarks/, with `add_arguments(parser)` and
#: `measure(args) -> Report`; only the one that is asked for is imported.
COMMANDS = {
    "metrics": "scoring of result files",
    "data": "training pairs of the loader",
    "train": "a training step",
    "model": "a network's look at a search region",
    "track": "tracking, from files to results",
}


def parse_arguments() -> tuple[argparse.Namespace, argparse.Namespace]:
    """The command and its own arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    listed = "; ".join(f"{name}: {what}" for name, what in COMMANDS.items())
    parser.add_argument("command", choices=COMMANDS, help=listed)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the command: see <command> --help")
    args = parser.parse_args()
    module = importlib.import_module(f"tracking.benchmarks.{args.command}")
    own = argparse.ArgumentParser(
        prog=f"{parser.prog} {args.command}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(own)
    own.add_argument("--repeats", type=int, default=5, help="interleaved repetitions (default: %(default)s)")
    own.add_argument("--json", metavar="FILE", help="machine, medians and every run")
    own.add_argument("--markdown", metavar="FILE", help="the tables")
    return argparse.Namespace(measure=module.measure), own.parse_args(args.arguments)


def main() -> None:
    """Measure, show the tables, write what is asked for."""
    command, args = parse_arguments()
    if args.repeats < 1:
        raise InputError(f"--repeats {args.repeats}: expected 1 or more")
    report = command.measure(args)
    print("\n\n".join(map(format_text, report.tables)))
    if args.markdown:
        write_text(args.markdown, "\n\n".join(map(format_markdown, report.tables)) + "\n")
    if args.json:
        write_text(args.json, json.dumps(report.content, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
