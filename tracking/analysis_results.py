"""Score result files and print the table: PR, NPR and SR in percent, frames per second.

python tracking/analysis_results.py --tracker_name tbsi_track --tracker_param <config> --dataset_name lasher_test
python tracking/analysis_results.py --tracker_name iimf_track --tracker_param tiny --dataset_name folder --data_dir DIR
python tracking/analysis_results.py --dataset_name lasher_test --results APFNet=DIR mfDiMP=DIR --plot lasher.pdf
python tracking/analysis_results.py --annotations DIR --results APFNet=DIR --csv lasher.csv
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.errors import InputError, run
from lib.core.paths import read_local
from lib.datasets import DATASETS, load_dataset
from lib.datasets.annotation import read_boxes
from lib.datasets.folder import read_folder
from lib.test import report
from lib.test.metrics import PROTOCOLS, Truth
from lib.test.results import result_folder


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracker_name", nargs="+", default=[], help="experiments folder, one or several")
    parser.add_argument("--tracker_param", nargs="+", default=[], help="config, one or several")
    parser.add_argument("--runid", type=int, help="score the run <config>_<runid>")
    parser.add_argument("--results_dir", help="where tracking/test.py put them; default: local.py")
    parser.add_argument(
        "--results", nargs="+", default=[], metavar="NAME=DIR", help="any folder of <sequence>.txt files"
    )
    parser.add_argument("--dataset_name", default="lasher_test", help=f"folder, {', '.join(DATASETS)}")
    parser.add_argument("--data_dir", help="for --dataset_name folder: a folder of sequences")
    parser.add_argument("--annotations", metavar="DIR", help="score against DIR/<sequence>.txt; no images are needed")
    parser.add_argument("--rules", choices=sorted(PROTOCOLS), help="default: those of the data set")
    parser.add_argument("--per_sequence", action="store_true", help="one more table, by sequence")
    parser.add_argument("--skip_missing", action="store_true", help="score the sequences that are finished")
    parser.add_argument("--csv", metavar="FILE", help="write the scores, overall and by sequence")
    parser.add_argument("--plot", metavar="FILE", help="draw the curves into a pdf, png or svg file")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    folders = {name: (folder, "") for name, folder in report.named_folders(arguments.results).items()}
    folders |= tracker_folders(arguments)
    if not folders:
        raise InputError("nothing to score: give --tracker_name and --tracker_param, or --results NAME=DIR")
    videos = read_videos(arguments)
    protocol = PROTOCOLS[arguments.rules] if arguments.rules else report.protocol_of(arguments.dataset_name)
    entries = [
        report.evaluate(name, folder, videos, protocol, skip_missing=arguments.skip_missing, remedy=remedy)
        for name, (folder, remedy) in folders.items()
    ]
    where = arguments.annotations or arguments.data_dir or arguments.dataset_name
    print(f"{where}: {len(videos)} sequences, {protocol.name} rules, figures in percent\n")
    print(report.format_text(report.overall_rows(entries)))
    if arguments.per_sequence:
        print(f"\n{report.format_text(report.sequence_rows(entries))}")
    if arguments.csv:
        report.write_csv(arguments.csv, report.csv_rows(entries))
    if arguments.plot:
        from lib.test.plots import plot_curves

        plot_curves(arguments.plot, entries, f"{where} ({len(videos)} sequences)")


def tracker_folders(arguments: argparse.Namespace) -> dict[str, tuple[Path, str]]:
    """Result folders of our own trackers, and the command that fills each. One name goes with many configs and
    the other way round; several of both are taken in pairs."""
    names, configs = arguments.tracker_name, arguments.tracker_param
    if bool(names) != bool(configs):
        raise InputError("--tracker_name and --tracker_param go together")
    if len(names) != len(configs) and 1 not in (len(names), len(configs)):
        raise InputError(f"{len(names)} --tracker_name for {len(configs)} --tracker_param: give one, or as many")
    if not names:
        return {}
    results_dir = arguments.results_dir or read_local("test")["results_dir"]
    count = max(len(names), len(configs))
    folders = {}
    for name, config in zip(names * (count // len(names)), configs * (count // len(configs)), strict=True):
        folder = result_folder(results_dir, name, config, arguments.runid)
        command = f"python tracking/test.py {name} {config} --dataset_name {arguments.dataset_name}"
        for option in ("data_dir", "results_dir", "runid"):
            value = getattr(arguments, option)
            command += f" --{option} {value}" if value is not None else ""
        remedy = f"make them with: {command}  (or score the finished ones: --skip_missing)"
        folders[f"{name}/{folder.name}"] = (folder, remedy)
    return folders


def read_videos(arguments: argparse.Namespace) -> list[report.Video]:
    """What the results are scored against."""
    if arguments.annotations:
        paths = sorted(Path(arguments.annotations).glob("*.txt"))
        if not paths:
            raise InputError(f"--annotations {arguments.annotations}: no <sequence>.txt files there")
        return [report.Video(path.stem, Truth(read_boxes(path))) for path in paths]
    if arguments.dataset_name.lower() == "folder":
        if not arguments.data_dir:
            raise InputError("--dataset_name folder needs --data_dir DIR, a folder of sequences")
        return report.videos_of(read_folder(arguments.data_dir))
    if arguments.data_dir:
        raise InputError("--data_dir goes with --dataset_name folder; the folders of named sets are in local.py")
    return report.videos_of(load_dataset(arguments.dataset_name, read_local("test")))


if __name__ == "__main__":
    run(main)
