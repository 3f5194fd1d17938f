r"""Score result files: tables, plots, intervals, an HTML report.

    rgbt score --tracker_name tbsi_track --tracker_param <config> --dataset_name lasher_test
    rgbt score --tracker_name iimf_track --tracker_param tiny --runid 1 2 3 --significance
    rgbt score --dataset_name lasher_test --annotations DIR --attributes DIR \
        --results APFNet=DIR --results mfDiMP=DIR --csv out.csv --latex tables.tex --plots figures --html report.html
    rgbt score --dataset_name lasher_test rgbt234 --annotations DIR DIR \
        --results lasher_test:APFNet=DIR rgbt234:APFNet=DIR ours=DIR

Needs annotations and results, no images. DIR of --results holds <sequence>.txt files, or one folder of them per data
set, with the set's name.
Tables are in percent; the CSV has tracker,dataset,metric,value with figures in [0, 1].
"""

import argparse
from typing import Any

from ..core.errors import InputError, run
from ..core.paths import read_local
from ..core.table import format_text
from ..datasets import DATASETS
from ..test.analysis.board import Board
from ..test.analysis.compare import read_board
from ..test.analysis.sources import Source, named_sources, own_source, paired
from ..test.metrics import PROTOCOLS
from ..test.report.compose import Files, Wanted, make_tables, write_files
from .options import add_trackers
from .parser import Argv, Parser


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("score", __doc__, argv)
    many: dict[str, Any] = {"nargs": "+", "default": []}
    what = parser.add_argument_group("what is scored")
    add_trackers(parser, what)
    what.add_argument("--runid", type=int, **many, help="the run <config>_<runid>; several are averaged")
    what.add_argument("--results_dir", help="where the tracking command put them; default: local.py")
    what.add_argument("--results", **many, action="extend", metavar="[SET:]NAME=DIR", help="any folder of results")
    what.add_argument("--allow_missing", action="store_true", help="score what is there; every table says so")
    truth = parser.add_argument_group("what it is scored against")
    truth.add_argument("--dataset_name", nargs="+", default=["lasher_test"], help=f"folder, {', '.join(DATASETS)}")
    truth.add_argument("--data_dir", help="where the data set is, for a single one (default: local.py)")
    truth.add_argument("--annotations", **many, metavar="DIR", help="one folder per data set; no images are needed")
    truth.add_argument(
        "--attributes", **many, metavar="DIR", help="flag files, one folder per data set; default: the set's"
    )
    truth.add_argument("--rules", choices=sorted(PROTOCOLS), help="default: those of the data set")
    tables = parser.add_argument_group("tables, besides the overall one")
    tables.add_argument("--per_attribute", action="store_true")
    tables.add_argument("--per_sequence", action="store_true")
    tables.add_argument("--confidence", action="store_true", help="long-term rules: how sure, when right and when not")
    tables.add_argument("--significance", action="store_true", help="bootstrap intervals and permutation tests")
    tables.add_argument("--reference", metavar="NAME", help="the others are tested against it; default: the best")
    tables.add_argument("--versus", nargs=2, metavar="NAME", help="the two trackers of the scatter; default: the best")
    files = parser.add_argument_group("files")
    files.add_argument("--csv", metavar="FILE", help="overall figures")
    files.add_argument("--sequence_csv", metavar="FILE", help="figures of every sequence")
    files.add_argument("--markdown", metavar="FILE", help="the tables")
    files.add_argument("--latex", metavar="FILE", help="the tables")
    files.add_argument("--plots", metavar="DIR", help="curves, radar and scatter as PDF and PNG")
    files.add_argument("--html", metavar="FILE", help="everything in one page that opens without a server")
    return parser.read()


def main(argv: Argv = None) -> None:
    """Score, show the tables, write what is asked for."""
    args = parse_arguments(argv)
    sources = read_sources(args)
    boards = read_boards(args, sources)
    wanted = Wanted(*(getattr(args, name) for name in Wanted._fields))
    tables = make_tables(boards, wanted)
    print("\n\n".join(map(format_text, tables)))
    write_files(boards, tables, Files(*(getattr(args, name) for name in Files._fields)), wanted)


def read_sources(args: argparse.Namespace) -> list[Source]:
    """All trackers that the command line names."""
    sources = named_sources(args.results, args.dataset_name)
    pairs = paired(args.trackers, args.configs)
    if pairs:
        results_dir = args.results_dir or read_local("test")["results_dir"]
        options = f"--dataset_name {args.dataset_name[0]}"
        options += f" --data_dir {args.data_dir}" if args.data_dir else ""
        options += f" --out {args.results_dir}" if args.results_dir else ""
        sources = [own_source(results_dir, *pair, args.runid, options) for pair in pairs] + sources
    if not sources:
        raise InputError("nothing to score: give --tracker_name and --tracker_param, or --results NAME=DIR")
    return sources


def read_boards(args: argparse.Namespace, sources: list[Source]) -> list[Board]:
    """All trackers on each data set."""
    names = args.dataset_name
    for option in ("annotations", "attributes"):
        count = len(getattr(args, option))
        if count not in (0, len(names)):
            raise InputError(f"--{option}: {count} folders for {len(names)} data sets; give one for each")
    if args.data_dir and len(names) > 1:
        raise InputError(f"--data_dir {args.data_dir}: one folder for {len(names)} data sets; set theirs in local.py")
    return [
        read_board(
            name,
            sources,
            annotations=args.annotations[place] if args.annotations else None,
            attributes=args.attributes[place] if args.attributes else None,
            data_dir=args.data_dir,
            rules=args.rules,
            allow_missing=args.allow_missing,
        )
        for place, name in enumerate(names)
    ]


if __name__ == "__main__":
    run(main)
