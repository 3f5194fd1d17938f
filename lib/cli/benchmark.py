"""How fast the toolbox is on this machine, and how much memory it takes.

rgbt benchmark metrics                      scoring of result files
rgbt benchmark data                         training pairs of the loader
rgbt benchmark train                        a training step
rgbt benchmark model                        a network's look at a search region
rgbt benchmark track                        tracking, from files to results
rgbt benchmark metrics --help               what else it takes
rgbt benchmark metrics --json out.json --markdown out.md
"""

import argparse
import importlib
import json
from types import ModuleType

from ..core.errors import InputError, run
from ..core.table import format_markdown, format_text, write_text
from .parser import Argv, Parser

#: What is measured -> in words. Each is a file of benchmarks/, with `add_arguments(parser)` and
#: `measure(args) -> Report`; only the one that is asked for is imported.
COMMANDS = {
    "metrics": "scoring of result files",
    "data": "training pairs of the loader",
    "train": "a training step",
    "model": "a network's look at a search region",
    "track": "tracking, from files to results",
}


def parse_arguments(argv: Argv) -> tuple[ModuleType, argparse.Namespace]:
    """What is measured, and its own arguments."""
    parser = Parser("benchmark", __doc__, argv)
    listed = "; ".join(f"{name}: {what}" for name, what in COMMANDS.items())
    parser.add_argument("command", choices=COMMANDS, help=listed)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the command: see <command> --help")
    args = parser.parse_args(parser.argv)
    module = importlib.import_module(f".benchmarks.{args.command}", __package__)
    own = Parser("benchmark", module.__doc__, argv)
    own.prog, own.words = f"{parser.prog} {args.command}", args.arguments
    module.add_arguments(own)
    own.add_argument("--repeats", type=int, default=5, help="interleaved repetitions (default: %(default)s)")
    own.add_argument("--json", metavar="FILE", help="machine, medians and every run")
    own.add_argument("--markdown", metavar="FILE", help="the tables")
    return module, own.read()


def main(argv: Argv = None) -> None:
    """Measure, show the tables, write what is asked for."""
    module, args = parse_arguments(argv)
    if args.repeats < 1:
        raise InputError(f"--repeats {args.repeats}: expected 1 or more")
    report = module.measure(args)
    print("\n\n".join(map(format_text, report.tables)))
    if args.markdown:
        write_text(args.markdown, "\n\n".join(map(format_markdown, report.tables)) + "\n")
    if args.json:
        write_text(args.json, json.dumps(report.content, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
