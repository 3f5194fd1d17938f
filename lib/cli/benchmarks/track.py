"""Measure frames per second from image files to result files, the share of each stage, and memory.

rgbt benchmark track                                      the bundled sequence, IIMF tiny
rgbt benchmark track --network tbsi_track/vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --max_frames 20
rgbt benchmark track --data_dir ~/sequences --variants fp32 "bf16 compiled" --batches 1 8
rgbt benchmark track --variants fp32 --backend torch onnxruntime --threads 1
rgbt benchmark track --network dimp/superdimp --variants fp32 --max_frames 21 --threads 1

Learning: what a tracker that learns from each frame does beside its network. First frames: templates, and what is
learned from them.
"""

import argparse

from ...core.distributed import choose_device_type
from ...core.errors import InputError
from ...core.measure.benchmark import Report
from ...core.measure.machine import describe_machine
from ...core.paths import ROOT
from ...test.benchmarks.model import MeasuredNetwork
from ...test.benchmarks.track import VARIANTS, Workload, measure_tracking, summarise_tracking, tracking_table
from ..options import add_backend, add_changes, add_checkpoint, add_cores, add_device, add_max_frames


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which sequences are tracked, by which network, and how."""
    parser.add_argument("--network", metavar="SCRIPT/CONFIG", default="iimf_track/tiny",
                        help="default: iimf_track/tiny")  # fmt: skip
    add_checkpoint(parser, "default: random weights, which cost the same")
    parser.add_argument(
        "--data_dir", default=str(ROOT / "docs/demo_sequence"), help="folder of sequences (default: the bundled one)"
    )
    add_max_frames(parser, "--frames", what="frames of each sequence; 0: all (default: 0)", default=0)
    parser.add_argument(
        "--copies", type=int, default=1, help="how often each sequence is tracked, at least (default: 1)"
    )
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["fp32", "bf16"],
                        help="precisions, plain or compiled (default: fp32 bf16)")  # fmt: skip
    parser.add_argument(
        "--batches", nargs="+", type=int, default=[1], help="batched: sequences that are tracked at once (default: 1)"
    )
    add_backend(parser, nargs="+", default=["torch"])
    add_cores(parser, "1: shares are of core time")
    add_device(parser)
    add_changes(parser)


def measure(args: argparse.Namespace) -> Report:
    """Track in turns. Raises InputError for networks and sequences that cannot be used."""
    if min(args.batches) < 1 or args.copies < 1 or min(args.max_frames, args.threads) < 0:
        raise InputError("--batches and --copies: expected 1 or more; --max_frames and --threads: 0 or more")
    parsed = MeasuredNetwork.parse(args.network, args.set)
    network = MeasuredNetwork(parsed.script, parsed.config, parsed.changes, args.checkpoint or "")
    work = Workload(args.data_dir, args.max_frames, tuple(args.batches), args.copies, tuple(args.backend))
    device = choose_device_type(args.device)
    options = {"repeats": args.repeats, "device": device, "threads": args.threads}
    records = measure_tracking(network, args.variants, work, **options)
    summary, words = summarise_tracking(records), next(iter(records.values()))[0]["device"]
    content = {"machine": describe_machine(), "medians": summary, "runs": records}
    return Report([tracking_table(network, summary, words, args.repeats)], content)
