"""Frames per second from image files to result files, the share of each stage, and memory.

python tracking/benchmark.py track                                      the bundled sequence, IIMF tiny
python tracking/benchmark.py track --network tbsi_track/vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --frames 20
python tracking/benchmark.py track --data_dir ~/sequences --variants fp32 "bf16 compiled" --batches 1 8
"""

import argparse

from lib.core.distributed import choose_device_type
from lib.core.errors import InputError
from lib.core.measure.benchmark import Report
from lib.core.measure.machine import describe_machine
from lib.core.paths import ROOT
from lib.test.benchmarks.model import Network
from lib.test.benchmarks.track import VARIANTS, Workload, measure_tracking, summarise_tracking, tracking_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is followed, by what, and how."""
    parser.add_argument("--network", metavar="SCRIPT/CONFIG", default="iimf_track/tiny")
    parser.add_argument("--checkpoint", default="", help="weights (default: random ones, which cost the same)")
    parser.add_argument("--data_dir", default=str(ROOT / "docs/demo_sequence"), help="a folder of sequences")
    parser.add_argument("--frames", type=int, default=0, help="of each sequence, at most; 0: all")
    parser.add_argument("--copies", type=int, default=1, help="how often each sequence is followed, at least")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["fp32", "bf16"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1], help="sequences in lock step")
    parser.add_argument("--threads", type=int, default=0, help="of a CPU; 1: shares of the time on the core")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change keys of the configuration"
    )


def measure(args: argparse.Namespace) -> Report:
    """Track in turns. Raises InputError for what cannot be tracked."""
    if min(args.batches) < 1 or args.copies < 1 or min(args.frames, args.threads) < 0:
        raise InputError("--batches and --copies: expected 1 or more; --frames and --threads: 0 or more")
    parsed = Network.parse(args.network, args.set)
    network = Network(parsed.script, parsed.config, parsed.changes, args.checkpoint)
    work = Workload(args.data_dir, args.frames, tuple(args.batches), args.copies)
    device = choose_device_type(args.device)
    options = {"repeats": args.repeats, "device": device, "threads": args.threads}
    records = measure_tracking(network, args.variants, work, **options)
    summary, words = summarise_tracking(records), next(iter(records.values()))[0]["device"]
    content = {"machine": describe_machine(), "medians": summary, "runs": records}
    return Report([tracking_table(network, summary, words, args.repeats)], content)
