"""Measure speed and memory on this machine.

rgbt benchmark metrics                      scoring of result files
rgbt benchmark data                         loading of training pairs
rgbt benchmark train                        a training step
rgbt benchmark model                        a forward pass of a network
rgbt benchmark track                        tracking, from image files to result files
rgbt benchmark gpu --minutes 8 --out DIR    everything that needs a GPU
rgbt benchmark metrics --help               its options
rgbt benchmark metrics --json out.json --markdown out.md
"""

import argparse
import importlib
import json
from pathlib import Path
from types import ModuleType

from ..core.atomic import check_no_folder
from ..core.errors import InputError, run
from ..core.table import format_markdown, format_text, write_text
from .parser import Argv, Parser

#: benchmark -> what it measures. Each is a file of benchmarks/ with `add_arguments(parser)` and
#: `measure(args) -> Report`; only the chosen one is imported.
COMMANDS = {
    "metrics": "scoring of result files",
    "data": "loading of training pairs",
    "train": "a training step",
    "model": "a forward pass of a network",
    "track": "tracking, from image files to result files",
    "gpu": "everything that needs a GPU, within some minutes",
}


def parse_arguments(argv: Argv) -> tuple[ModuleType, argparse.Namespace]:
    """The chosen benchmark, and its own arguments."""
    parser = Parser("benchmark", __doc__, argv)
    listed = "; ".join(f"{name}: {what}" for name, what in COMMANDS.items())
    parser.add_argument("command", choices=COMMANDS, help=listed)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="options of the benchmark: see <command> --help")
    args = parser.parse_args(parser.argv)
    module = importlib.import_module(f".benchmarks.{args.command}", __package__)
    own = Parser("benchmark", module.__doc__, argv)
    own.prog, own.argv = f"{parser.prog} {args.command}", args.arguments
    module.add_arguments(own)
    own.add_argument("--repeats", type=int, default=5, help="interleaved repetitions (default: %(default)s)")
    own.add_argument("--json", metavar="FILE", help="write machine, medians and every run into this file")
    own.add_argument("--markdown", metavar="FILE", help="write the tables into this file")
    return module, own.read()


def main(argv: Argv = None) -> None:
    """Measure, print the tables, write the files that the options name."""
    module, args = parse_arguments(argv)
    if args.repeats < 1:
        raise InputError(f"--repeats {args.repeats}: expected 1 or more")
    check_no_folder(*(Path(file) for file in (args.markdown, args.json) if file))
    report = module.measure(args)
    print("\n\n".join(map(format_text, report.tables)))
    if args.markdown:
        write_text(args.markdown, "\n\n".join(map(format_markdown, report.tables)) + "\n")
    if args.json:
        write_text(args.json, json.dumps(report.content, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
