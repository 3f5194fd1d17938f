r"""Score result files: tables, plots, intervals, an HTML report. Needs annotations and results, no images.

python tracking/analysis_results.py --tracker_name tbsi_track --tracker_param <config> --dataset_name lasher_test
python tracking/analysis_results.py --tracker_name iimf_track --tracker_param tiny --runid 1 2 3 --significance
python tracking/analysis_results.py --dataset_name lasher_test --annotations DIR --attributes DIR \
    --results APFNet=DIR --results mfDiMP=DIR --csv out.csv --latex tables.tex --plots figures --html report.html
python tracking/analysis_results.py --dataset_name lasher_test rgbt234 --annotations DIR DIR \
    --results lasher_test:APFNet=DIR rgbt234:APFNet=DIR ours=DIR

DIR of --results holds <sequence>.txt files, or one folder of them per data set, with the set's name.
Tables are in percent; the CSV has tracker,dataset,metric,value with figures in [0, 1].
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.errors import InputError, run
from lib.core.paths import read_local
from lib.core.table import Table, format_latex, format_markdown, format_text, write_csv, write_text
from lib.datasets import DATASETS
from lib.test.analysis.attributes import with_attributes
from lib.test.analysis.board import Board, Entry, average, evaluate
from lib.test.analysis.significance import compare_with
from lib.test.analysis.sources import Source, named_sources, own_source, paired, read_videos
from lib.test.metrics import PROTOCOLS, protocol_of
from lib.test.report.tables import (
    attribute_table,
    confidence_table,
    csv_rows,
    overall_table,
    sequence_csv_rows,
    sequence_table,
    significance_table,
    summary_table,
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    many = {"nargs": "+", "default": []}
    what = parser.add_argument_group("what is scored")
    what.add_argument("--tracker_name", **many, help="experiments folder, one or several")
    what.add_argument("--tracker_param", **many, help="config, one or several")
    what.add_argument("--runid", type=int, **many, help="the run <config>_<runid>; several are averaged")
    what.add_argument("--results_dir", help="where tracking/test.py put them; default: local.py")
    what.add_argument("--results", **many, action="extend", metavar="[SET:]NAME=DIR", help="any folder of results")
    what.add_argument("--allow_missing", action="store_true", help="score what is there; every table says so")
    truth = parser.add_argument_group("what it is scored against")
    truth.add_argument("--dataset_name", nargs="+", default=["lasher_test"], help=f"folder, {', '.join(DATASETS)}")
    truth.add_argument("--data_dir", help="for --dataset_name folder: a folder of sequences")
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
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    sources = read_sources(args)
    boards = [read_board(args, sources, place) for place in range(len(args.dataset_name))]
    tables = [table for board in boards for table in tables_of(args, board)]
    if len(boards) > 1:
        tables.insert(0, summary_table(boards))
    print("\n\n".join(map(format_text, tables)))
    if args.csv:
        write_csv(args.csv, csv_rows(boards))
    if args.sequence_csv:
        write_csv(args.sequence_csv, sequence_csv_rows(boards))
    for path, form in ((args.markdown, format_markdown), (args.latex, format_latex)):
        if path:
            write_text(path, "\n\n".join(map(form, tables)) + "\n")
    if args.plots or args.html:
        draw(args, boards)


def draw(args: argparse.Namespace, boards: list[Board]) -> None:
    """Plots and page; matplotlib, which takes a second to start, is only needed here."""
    from lib.test.report.page import write_page
    from lib.test.report.plots import draw_all
    from lib.test.report.style import looks_of, save_figure

    looks = looks_of(boards)
    figures = [draw_all(board, looks, versus_of(args, board)) for board in boards]
    if args.plots:
        for stem, figure in (item for drawn in figures for item in drawn.items()):
            save_figure(Path(args.plots, f"{stem}.pdf"), figure)
            save_figure(Path(args.plots, f"{stem}.png"), figure)
    if args.html:
        title = f"Tracking results on {', '.join(board.dataset for board in boards)}"
        write_text(args.html, write_page(title, boards, figures, [reference_of(args, board) for board in boards]))


def read_sources(args: argparse.Namespace) -> list[Source]:
    """All trackers that the command line names."""
    sources = named_sources(args.results, args.dataset_name)
    pairs = paired(args.tracker_name, args.tracker_param)
    if pairs:
        results_dir = args.results_dir or read_local("test")["results_dir"]
        options = f"--dataset_name {args.dataset_name[0]}"
        options += f" --data_dir {args.data_dir}" if args.data_dir else ""
        options += f" --results_dir {args.results_dir}" if args.results_dir else ""
        sources = [own_source(results_dir, *pair, args.runid, options) for pair in pairs] + sources
    if not sources:
        raise InputError("nothing to score: give --tracker_name and --tracker_param, or --results NAME=DIR")
    return sources


def read_board(args: argparse.Namespace, sources: list[Source], place: int) -> Board:
    """Score all trackers on one data set."""
    dataset = args.dataset_name[place]
    for option in ("annotations", "attributes"):
        count = len(getattr(args, option))
        if count not in (0, len(args.dataset_name)):
            raise InputError(f"--{option}: {count} folders for {len(args.dataset_name)} data sets; give one for each")
    videos = read_videos(dataset, args.annotations[place] if args.annotations else None, args.data_dir)
    if args.attributes:
        videos = with_attributes(videos, args.attributes[place])
    protocol = PROTOCOLS[args.rules] if args.rules else protocol_of(dataset)
    entries = []
    for source in sources:
        if source.dataset not in (None, dataset):
            continue
        options = {"allow_missing": args.allow_missing, "remedy": source.remedy}
        runs = [evaluate(source.name, folder, videos, protocol, **options) for folder in source.folders_for(dataset)]
        entries.append(runs[0] if len(runs) == 1 else average(source.name, runs))
    if not entries:
        raise InputError(f"--dataset_name {dataset}: no --results for this set")
    title = Path(args.data_dir).resolve().name if args.data_dir else dataset
    return Board(title, protocol, tuple(videos), tuple(entries))


def tables_of(args: argparse.Namespace, board: Board) -> list[Table]:
    """The tables that the command line asks for."""
    tables = [overall_table(board)]
    if args.significance and not board.protocol.additive:
        why = "they are no averages over sequences, which the tests are for"
        raise InputError(f"--significance: figures by {board.protocol.name} rules have no intervals: {why}")
    if args.significance:
        reference = reference_of(args, board)
        tests = compare_with(board, reference)
        tables += [significance_table(board, metric, reference.name, tests[metric.name]) for metric in board.metrics]
    if args.confidence:
        if not board.protocol.confident:
            raise InputError(f"--confidence: {board.protocol.name} rules read none; take --rules vot_lt or oxuva")
        tables.append(confidence_table(board))
    if args.per_attribute:
        if not board.attributes:
            raise InputError(f"--per_attribute: {board.dataset} comes without attributes; name them: --attributes DIR")
        tables += [attribute_table(board, metric) for metric in board.metrics]
    if args.per_sequence:
        tables += [sequence_table(board, metric) for metric in board.metrics]
    return tables


def reference_of(args: argparse.Namespace, board: Board) -> Entry:
    """The tracker that the others are tested against."""
    return find(board, args.reference, "--reference") if args.reference else board.ranked(board.main)[0]


def versus_of(args: argparse.Namespace, board: Board) -> tuple[Entry, Entry] | None:
    """The two trackers of the scatter: those named, else the two best; None where there is one."""
    if args.versus:
        return find(board, args.versus[0], "--versus"), find(board, args.versus[1], "--versus")
    ranked = board.ranked(board.main)
    return (ranked[0], ranked[1]) if len(ranked) > 1 else None


def find(board: Board, name: str, option: str) -> Entry:
    for entry in board.entries:
        if entry.name == name:
            return entry
    raise InputError(
        f"{option} {name}: no such tracker on {board.dataset}; there are {', '.join(e.name for e in board.entries)}"
    )


if __name__ == "__main__":
    run(main)
