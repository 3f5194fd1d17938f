"""Report whether trackers find a target again after it left the frame, and their scores meanwhile.

    rgbt recovery dasiamrpn synthetic_small_st synthetic_small_lt --dataset_name synthetic_rgb_leaving
    rgbt recovery dasiamrpn dasiamrpn_vot dasiamrpn_vot_lt --dataset_name uav20l --results_dir RESULTS

Reads results of rgbt test with their confidences. The quantiles of the scores help to choose TEST.LONG_TERM.LOW and
HIGH: between the scores of frames in which the target was tracked and the scores of the other frames.
"""

import argparse
from pathlib import Path

import numpy as np

from ..core.errors import InputError, run
from ..core.paths import read_local, typed_command
from ..core.table import Table, format_text
from ..datasets.annotation import read_numbers
from ..datasets.named import data_name
from ..test.analysis.recovery import QUANTILES, WITHIN, TrackedSequence, find_returns, score_quantiles
from ..test.evaluation.sequences import named_sequences
from ..test.results.dialect import read_result
from ..test.results.files import confidence_path, result_folder, result_paths
from ..test.results.origin import check_scored
from .options import add_data, add_trackers
from .parser import Argv, Parser


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("recovery", __doc__, argv)
    add_trackers(parser, parser.add_argument_group("the same by name"))
    add_data(parser, None)
    parser.add_argument("--results_dir", help="folder of the results (default: results_dir of local.py)")
    return parser.read()


def main(argv: Argv = None) -> None:
    """Print one row for each configuration, then the quantiles of its scores."""
    args = parse_arguments(argv)
    if len(args.trackers) != 1 or not args.configs:
        raise InputError("name one tracker and its configurations, for example: dasiamrpn dasiamrpn_vot")
    sequences = named_sequences(args.dataset_name, args.data_dir, None, lambda: read_local("test"))
    root = args.results_dir or read_local("test")["results_dir"]
    data = data_name(args.dataset_name, args.data_dir)
    rows, scores = [], []
    for config in args.configs:
        folder = result_folder(root, args.trackers[0], config)
        check_scored(folder, data, {sequence.name: sequence.first_boxes for sequence in sequences})
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


def read_track(folder: Path, name: str, truth: np.ndarray) -> TrackedSequence:
    """The result of one sequence. Raises InputError where it is missing, has no confidences, or another number of rows
    than the annotation."""
    path = confidence_path(folder, name)
    if not path.is_file():
        raise InputError(f"{path}: does not exist; run {typed_command('test', 'test')} first")
    boxes, scores = read_result(result_paths(folder, name)[0]), read_numbers(path, 2)[:, 0]
    if not len(truth) == len(boxes) == len(scores):
        raise InputError(f"{path}: {len(scores)} rows for {len(truth)} annotated frames")
    return TrackedSequence(truth, boxes, scores)


if __name__ == "__main__":
    run(main)
