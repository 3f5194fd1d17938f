"""Whether trackers find a target again that left the frame, and how sure they are while it is away.

    python tracking/recovery.py dasiamrpn synthetic_small_st synthetic_small_lt --dataset_name synthetic_rgb_leaving
    python tracking/recovery.py dasiamrpn dasiamrpn_vot dasiamrpn_vot_lt --dataset_name uav20l --results_dir RESULTS

Reads results that tracking/test.py wrote, with their confidences. The quantiles of the scores say where
TEST.LONG_TERM.LOW and HIGH belong: between those of frames in which the target was followed and those of the others.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.errors import InputError, run
from lib.core.paths import read_local
from lib.core.table import Table, format_text
from lib.datasets.annotation import read_numbers
from lib.test.analysis.recovery import QUANTILES, WITHIN, Track, find_returns, score_quantiles
from lib.test.evaluation.open import named_sequences
from lib.test.results.dialect import read_result
from lib.test.results.files import confidence_path, result_folder, result_paths


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracker_name", help="a folder of experiments/")
    parser.add_argument("configs", nargs="+", help="configurations with results")
    parser.add_argument("--dataset_name", required=True, help="a data set, or 'folder' with --data_dir")
    parser.add_argument("--data_dir", help="where the data set is (default: local.py)")
    parser.add_argument("--results_dir", help="where the results are (default: results_dir of local.py)")
    return parser.parse_args()


def main() -> None:
    """Print a row for each configuration, then the scores of each."""
    args = parse_arguments()
    sequences = named_sequences(args.dataset_name, args.data_dir, None, lambda: read_local("test"))
    root = args.results_dir or read_local("test")["results_dir"]
    rows, scores = [], []
    for config in args.configs:
        folder = result_folder(root, args.tracker_name, config)
        tracks = [read_track(folder, sequence.name, sequence.boxes) for sequence in sequences]
        returns = [found for track in tracks for found in find_returns(track)]
        known = [one for one in returns if one.followed]
        if not known:
            raise InputError(f"{folder}: no target of {len(returns)} that come back was followed before it left")
        means = [np.mean([getattr(one, name) for one in known]) for name in ("before", "after", "found")]
        rows.append([config, str(len(returns)), str(len(known)), *(f"{value:.3f}" for value in means)])
        for name, values in score_quantiles(tracks).items():
            scores.append([config, name, *(f"{value:.3f}" for value in values)])
    head = ["configuration", "returns", "followed before", "IoU before", "IoU after", "found"]
    note = f"after a return: the first {WITHIN} frames; found: an overlap of a half in one of them"
    print(format_text(Table("Targets that left and came back", [head, *rows], (note,))), end="\n\n")
    head = ["configuration", "score while", *(f"{share:.0%}" for share in QUANTILES)]
    print(format_text(Table("Quantiles of the scores", [head, *scores])))


def read_track(folder: Path, name: str, truth: np.ndarray) -> Track:
    """A result. Raises InputError where it is missing, has other rows than the truth or no confidences."""
    path = confidence_path(folder, name)
    if not path.is_file():
        raise InputError(f"{path}: does not exist; run tracking/test.py first")
    boxes, scores = read_result(result_paths(folder, name)[0]), read_numbers(path, 2)[:, 0]
    if not len(truth) == len(boxes) == len(scores):
        raise InputError(f"{path}: {len(scores)} rows for {len(truth)} annotated frames")
    return Track(truth, boxes, scores)


if __name__ == "__main__":
    run(main)
