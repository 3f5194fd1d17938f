"""Measure how many training pairs the loader makes per second and core, and the share of reading and decoding.

rgbt benchmark data                                  synthetic JPEG pairs, 640 x 480, boxes like LasHeR's
rgbt benchmark data --frame_size 1280x720 --workers 0 4 8
rgbt benchmark data --data_dir LasHeR/trainingset --script iimf_track --config tiny
rgbt benchmark data --packed                         single files and a packed set in turns
"""

import argparse
import itertools
import re
import tempfile
from collections.abc import Sequence as Many
from dataclasses import replace
from pathlib import Path

from ...core.config import load_config
from ...core.errors import InputError
from ...core.measure.benchmark import Report, alternate
from ...core.measure.machine import describe_machine
from ...datasets.pack import pack, read_pack
from ...datasets.readers.folder import read_folder
from ...datasets.sequence import Sequence
from ...train.benchmarks.loading import (
    LoadingVariant,
    compare_pixels,
    describe,
    gains,
    loading_table,
    make_pairs,
    measure_loading,
    summarise_loading,
)
from ..options import add_tracker
from ..parser import Parser

TRACKER, CONFIG = "tbsi_track", "vitb_256_tbsi_32x1_1e4_lasher_15ep_sot"


def add_arguments(parser: Parser) -> None:
    """Which pairs, and how they are loaded."""
    add_tracker(parser, what=f"default: {TRACKER} {CONFIG}; pairs are cut as it needs them", required=False)
    parser.add_argument("--data_dir", metavar="DIR", help="folder of sequences (default: synthetic ones)")
    parser.add_argument(
        "--frame_size", default="640x480", metavar="WxH", help="size of synthetic frames in pixels (default: 640x480)"
    )
    parser.add_argument(
        "--photos",
        type=Path,
        default=Path(""),
        metavar="DIR",
        help="folder of photographs for synthetic frames (default: none, drawn textures)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        nargs="+",
        default=[0, 1, 2],
        help="loader processes, one or more numbers (default: 0 1 2)",
    )
    parser.add_argument("--packed", action="store_true", help="also pack the sequences, and load from there")
    parser.add_argument("--pairs", type=int, default=256, help="pairs of one run (default: %(default)s)")


def measure(args: argparse.Namespace) -> Report:
    """Load in turns, with and without scaled decoding. Raises InputError for data that cannot be loaded."""
    size = re.fullmatch(r"(\d+)x(\d+)", args.frame_size)
    if size is None:
        raise InputError(f"--frame_size {args.frame_size}: expected WIDTHxHEIGHT, such as 640x480")
    if args.pairs < 1 or min(args.workers) < 0:
        raise InputError("--pairs, --workers: expected at least one pair, and no negative number of processes")
    tracker, config = args.tracker or TRACKER, args.config or CONFIG
    cfg = load_config(tracker, config, ["TRAIN.BATCH_SIZE=8", "DATA.TRAIN.DATASETS_NAME=[benchmark]",
                                                 "DATA.TRAIN.DATASETS_RATIO=[1]"])  # fmt: skip
    ways = itertools.product(args.workers, (False, True)[: 1 + args.packed], (False, True))
    kinds = [LoadingVariant(workers, scaled, packed) for workers, packed, scaled in ways]
    variants = {variant.name: variant for variant in kinds}
    with tempfile.TemporaryDirectory() as scratch:
        if args.data_dir:
            sequences: Many[Sequence] = read_folder(args.data_dir)
        else:
            sequences = make_pairs(Path(scratch, "made"), args.photos, (int(size[1]), int(size[2])))
        places = {False: sequences}
        if args.packed:
            pack(sequences, Path(scratch, "packed"))
            places[True] = read_pack(Path(scratch, "packed"))
        records = alternate(
            list(variants),
            lambda name, _: measure_loading(cfg, places[variants[name].packed], variants[name], pairs=args.pairs),
            repeats=args.repeats,
        )
        pixels = compare_pixels(cfg, sequences)
        what = f"{describe(sequences)}, crops of {tracker}/{config}"
    summary = summarise_loading(records)
    plain = LoadingVariant(min(args.workers), False)
    packed = gains(records, plain, replace(plain, packed=True)) if args.packed else []
    ratios = gains(records, plain, replace(plain, scaled=True))
    table = loading_table(summary, pixels, what=what, ratios=ratios, packed=packed)
    content = {"machine": describe_machine(), "task": what, "medians": summary, "pixels": pixels, "runs": records}
    return Report([table], content)
