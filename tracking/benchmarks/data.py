"""Training pairs per second and core of the loader, and the share of reading and decoding in it.

python tracking/benchmark.py data                                  made-up JPEG pairs, 640 x 480, boxes like LasHeR's
python tracking/benchmark.py data --frame_size 1280x720 --workers 0 4 8
python tracking/benchmark.py data --data_dir LasHeR/trainingset --script iimf_track --config tiny
"""

import argparse
import re
import tempfile
from pathlib import Path

from lib.core.config import load_config
from lib.core.errors import InputError
from lib.core.measure.benchmark import Report, take_turns
from lib.core.measure.machine import describe_machine
from lib.datasets.readers.folder import read_folder
from lib.train.benchmarks.loading import (
    Side,
    compare_pixels,
    describe,
    gains,
    loading_table,
    make_pairs,
    measure_loading,
    summarise_loading,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which pairs, and how they are loaded."""
    parser.add_argument("--script", default="tbsi_track", help="a folder of experiments/ (default: %(default)s)")
    parser.add_argument("--config", default="vitb_256_tbsi_32x1_1e4_lasher_15ep_sot", help="its crops are cut")
    parser.add_argument("--data_dir", metavar="DIR", help="a folder of sequences instead of made-up ones")
    parser.add_argument("--frame_size", default="640x480", metavar="WxH", help="of made-up frames")
    parser.add_argument("--photos", type=Path, default=Path(""), metavar="DIR", help="photographs for made-up frames")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="loader processes")
    parser.add_argument("--pairs", type=int, default=256, help="of one run (default: %(default)s)")


def measure(args: argparse.Namespace) -> Report:
    """Load in turns, with and without scaled decoding. Raises InputError for what cannot be loaded."""
    size = re.fullmatch(r"(\d+)x(\d+)", args.frame_size)
    if size is None:
        raise InputError(f"--frame_size {args.frame_size}: expected WIDTHxHEIGHT, such as 640x480")
    if args.pairs < 1 or min(args.workers) < 0:
        raise InputError("--pairs, --workers: expected at least one pair, and no negative number of processes")
    cfg = load_config(args.script, args.config, ["TRAIN.BATCH_SIZE=8", "DATA.TRAIN.DATASETS_NAME=[benchmark]",
                                                 "DATA.TRAIN.DATASETS_RATIO=[1]"])  # fmt: skip
    sides = {side.name: side for workers in args.workers for side in (Side(workers, False), Side(workers, True))}
    with tempfile.TemporaryDirectory() as scratch:
        if args.data_dir:
            sequences = read_folder(args.data_dir)
        else:
            sequences = make_pairs(Path(scratch, "made"), args.photos, (int(size[1]), int(size[2])))
        records = take_turns(
            list(sides),
            lambda name, _: measure_loading(cfg, sequences, sides[name], pairs=args.pairs),
            repeats=args.repeats,
        )
        pixels = compare_pixels(cfg, sequences)
        what = f"{describe(sequences)}, crops of {args.script}/{args.config}"
    summary = summarise_loading(records)
    table = loading_table(summary, pixels, what=what, ratios=gains(records, min(args.workers)))
    content = {"machine": describe_machine(), "task": what, "medians": summary, "pixels": pixels, "runs": records}
    return Report([table], content)
