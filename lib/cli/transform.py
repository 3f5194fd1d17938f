"""Convert results to the format that a benchmark's server or toolkit requires.

    rgbt transform --tracker_name ostrack --tracker_param <config> --format got10k --out got10k.zip
    rgbt transform --tracker_name ostrack --tracker_param <config> --format trackingnet --out tn.zip
    rgbt transform --results DIR --format lasher --out lasher_results

--results reads any folder of results: commas, tabs or blanks, corners, <tracker>_<sequence>.txt, GOT-10k's folders.
Formats: family (tabs and whole pixels, as the OSTrack code base), lasher, rgbt234, got10k, trackingnet, vot.
An --out that ends in .zip becomes a zip file.
"""

import argparse
from pathlib import Path

from ..core.errors import InputError, run
from ..core.paths import read_local
from ..core.words import counted
from ..test.results.dialect import list_results, read_times
from ..test.results.files import read_result, result_folder
from ..test.results.submission import FORMATS, Result, write_submission
from .options import add_out, add_tracker
from .parser import Argv, Parser


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("transform", __doc__, argv)
    add_tracker(parser, required=False)
    parser.add_argument("--runid", type=int, help="results of <config>_<runid>")
    parser.add_argument(
        "--results_dir", help="folder that the tracking command wrote to (default: results_dir of local.py)"
    )
    parser.add_argument(
        "--results", metavar="DIR", help="any folder of results, instead of a tracker and a configuration"
    )
    parser.add_argument("--format", required=True, choices=sorted(FORMATS))
    add_out(parser, what="a new folder, or a .zip file", metavar="PATH", required=True)
    return parser.read()


def main(argv: Argv = None) -> None:
    """Read the results and write them in the chosen format."""
    args = parse_arguments(argv)
    folder = source_folder(args)
    results = []
    for name, path in list_results(folder).items():
        boxes = read_result(path)
        seconds = read_times(path, name)
        if seconds is not None and len(seconds) != len(boxes):
            raise InputError(f"{path}: {len(boxes)} boxes and {len(seconds)} times; track this sequence again")
        results.append(Result(name, boxes, seconds))
    count = write_submission(args.format, results, args.out)
    print(f"{args.out}: {counted(count, 'sequence')} as {args.format} wants them")


def source_folder(args: argparse.Namespace) -> Path:
    """The folder of the results that the command line names."""
    if bool(args.results) == bool(args.tracker):
        raise InputError("give either --results DIR, or --tracker_name and --tracker_param")
    if args.results:
        return Path(args.results)
    if not args.config:
        raise InputError("--tracker_name and --tracker_param go together")
    results_dir = args.results_dir or read_local("test")["results_dir"]
    return result_folder(results_dir, args.tracker, args.config, args.runid)


if __name__ == "__main__":
    run(main)
