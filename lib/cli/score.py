r"""Score result files: tables, plots, intervals, an HTML report.

    rgbt score --tracker_name tbsi_track --tracker_param <config> --dataset_name lasher_test
    rgbt score --tracker_name iimf_track --tracker_param tiny --runid 1 2 3 --significance
    rgbt score --dataset_name lasher_test --annotations DIR --attributes DIR \
        --results APFNet=DIR --results mfDiMP=DIR --csv out.csv --latex tables.tex --plots figures --html report.html
    rgbt score --dataset_name lasher_test rgbt234 --annotations DIR DIR \
        --results lasher_test:APFNet=DIR rgbt234:APFNet=DIR ours=DIR

Needs annotations and results, no images. DIR of --results holds <sequence>.txt files, or one folder of them per data
set, named like the set.
Figures are in percent in tables, and in [0, 1] in the CSV file (tracker,dataset,metric,value).
"""

import argparse
from pathlib import Path
from typing import Any

from ..core.atomic import check_no_folder
from ..core.errors import InputError, run
from ..core.paths import FILES, read_local
from ..core.table import format_text
from ..datasets import DATASETS
from ..test.analysis.compare import read_leaderboard
from ..test.analysis.leaderboard import Leaderboard
from ..test.analysis.sources import ResultSource, named_sources, own_source, paired
from ..test.metrics import PROTOCOLS
from ..test.report.compose import ReportFiles, TableOptions, make_tables, write_files
from .options import Group, add_trackers
from .parser import Argv, Parser

_MANY: dict[str, Any] = {"nargs": "+", "default": []}


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("score", __doc__, argv)
    results = parser.add_argument_group("results to score")
    add_trackers(parser, results)
    _add_results(results)
    _add_truth(parser.add_argument_group("ground truth"))
    _add_tables(parser.add_argument_group("more tables"))
    _add_files(parser.add_argument_group("files to write"))
    return parser.read()


def _add_results(group: Group) -> None:
    group.add_argument("--runid", type=int, **_MANY, help="results of <config>_<runid>; several runs are averaged")
    group.add_argument("--results_dir", help="folder that the tracking command wrote to (default: from local.py)")
    group.add_argument("--results", **_MANY, action="extend", metavar="[SET:]NAME=DIR",
                       help="a name for the tables and any folder of results, one or more")  # fmt: skip
    group.add_argument(
        "--allow_missing", action="store_true", help="score the sequences that have results; every table says so"
    )


def _add_truth(group: Group) -> None:
    group.add_argument("--dataset_name", nargs="+", default=["lasher_test"],
                       help=f"folder, {', '.join(DATASETS)} (default: lasher_test)")  # fmt: skip
    group.add_argument("--data_dir", help="folder of the data set, if there is only one (default: from local.py)")
    group.add_argument("--annotations", **_MANY, metavar="DIR",
                       help="folder of the annotations, one per data set (default: the data set's)")  # fmt: skip
    group.add_argument("--attributes", **_MANY, metavar="DIR",
                       help="folder of the attribute files, one per data set (default: the data set's)")  # fmt: skip
    group.add_argument("--rules", choices=sorted(PROTOCOLS), help="scoring rules (default: those of the data set)")


def _add_tables(group: Group) -> None:
    group.add_argument("--per_attribute", action="store_true", help="figures by attribute")
    group.add_argument("--per_sequence", action="store_true", help="figures by sequence")
    group.add_argument("--confidence", action="store_true", help="long-term rules: scores of right and of wrong boxes")
    group.add_argument("--significance", action="store_true", help="bootstrap intervals and permutation tests")
    group.add_argument("--reference", metavar="NAME", help="tracker that others are tested against (default: the best)")
    group.add_argument("--versus", nargs=2, metavar="NAME", help="trackers of the scatter plot (default: the two best)")


def _add_files(group: Group) -> None:
    group.add_argument("--csv", metavar="FILE", help="overall figures")
    group.add_argument("--sequence_csv", metavar="FILE", help="figures of every sequence")
    group.add_argument("--markdown", metavar="FILE", help="the tables")
    group.add_argument("--latex", metavar="FILE", help="the tables")
    group.add_argument("--plots", metavar="DIR", help="curves, radar and scatter plots, as PDF and PNG")
    group.add_argument("--html", metavar="FILE", help="everything in one page, which opens without a server")


def main(argv: Argv = None) -> None:
    """Score, print the tables, write the files that the options name."""
    args = parse_arguments(argv)
    files = [Path(name) for name in (args.csv, args.sequence_csv, args.markdown, args.latex, args.html) if name]
    check_no_folder(*files)
    sources = read_sources(args)
    boards = read_boards(args, sources)
    wanted = TableOptions(*(getattr(args, name) for name in TableOptions._fields))
    tables = make_tables(boards, wanted)
    print("\n\n".join(map(format_text, tables)))
    write_files(boards, tables, ReportFiles(*(getattr(args, name) for name in ReportFiles._fields)), wanted)


def read_sources(args: argparse.Namespace) -> list[ResultSource]:
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


def read_boards(args: argparse.Namespace, sources: list[ResultSource]) -> list[Leaderboard]:
    """All trackers on each data set."""
    names = args.dataset_name
    for option in ("annotations", "attributes"):
        count = len(getattr(args, option))
        if count not in (0, len(names)):
            raise InputError(f"--{option}: {count} folders for {len(names)} data sets; give one for each")
    if args.data_dir and len(names) > 1:
        remedy = f"set theirs in {FILES['test']}"
        raise InputError(f"--data_dir {args.data_dir}: one folder for {len(names)} data sets; {remedy}")
    return [
        read_leaderboard(
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
