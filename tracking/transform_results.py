"""Turn results into the form that a benchmark's server or kit wants.

python tracking/transform_results.py --tracker_name ostrack --tracker_param <config> --format got10k --out got10k.zip
python tracking/transform_results.py --tracker_name ostrack --tracker_param <config> --format trackingnet --out tn.zip
python tracking/transform_results.py --results DIR --format lasher --out lasher_results

--results takes any folder of results: commas, tabs or blanks, corners, <tracker>_<sequence>.txt, GOT-10k's folders.
Formats: family (tabs, whole pixels), lasher, rgbt234, got10k, trackingnet, vot. An --out that ends in .zip is packed.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.errors import InputError, run
from lib.core.paths import read_local
from lib.test.results.dialect import list_results, read_times
from lib.test.results.files import read_result, result_folder
from lib.test.results.submission import FORMATS, Result, write_submission


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracker_name", help="experiments folder")
    parser.add_argument("--tracker_param", help="config")
    parser.add_argument("--runid", type=int, help="the run <config>_<runid>")
    parser.add_argument("--results_dir", help="where tracking/test.py put them; default: local.py")
    parser.add_argument("--results", metavar="DIR", help="any folder of results, instead of a tracker's")
    parser.add_argument("--format", required=True, choices=sorted(FORMATS))
    parser.add_argument("--out", required=True, metavar="PATH", help="a new folder, or a .zip file")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    folder = source_folder(args)
    results = []
    for name, path in list_results(folder).items():
        boxes = read_result(path)
        seconds = read_times(path, name)
        if seconds is not None and len(seconds) != len(boxes):
            raise InputError(f"{path}: {len(boxes)} boxes and {len(seconds)} times; track this sequence again")
        results.append(Result(name, boxes, seconds))
    count = write_submission(args.format, results, args.out)
    print(f"{args.out}: {count} sequences as {args.format} wants them")


def source_folder(args: argparse.Namespace) -> Path:
    """Where the results are that the command line names."""
    if bool(args.results) == bool(args.tracker_name):
        raise InputError("give either --results DIR, or --tracker_name and --tracker_param")
    if args.results:
        return Path(args.results)
    if not args.tracker_param:
        raise InputError("--tracker_name and --tracker_param go together")
    results_dir = args.results_dir or read_local("test")["results_dir"]
    return result_folder(results_dir, args.tracker_name, args.tracker_param, args.runid)


if __name__ == "__main__":
    run(main)
