"""Measure latency and throughput of a network's forward pass, its operations, parameters and memory.

A pass goes from crops to boxes; what is computed once per target is timed apart (template). Of trackers that learn from
each frame (DiMP and its family, ATOM) it is the network alone; `benchmark track` shows what they learn.

rgbt benchmark model                                      ViT-B IIMF and tiny
rgbt benchmark model --networks iimf_track/tiny --variants fp32 bf16 --batches 1 8
rgbt benchmark model --networks alpha_refine/secm_r34 --set MODEL.PRETRAIN_FILE= TEST.MASK=true
rgbt benchmark model --device cuda --json model.json --markdown model.md
"""

import argparse

from ...core.distributed import choose_device_type
from ...core.errors import InputError
from ...core.measure.benchmark import Report
from ...core.measure.machine import describe_machine
from ...test.benchmarks.model import (
    VARIANTS,
    MeasuredNetwork,
    measure_passes,
    passes_table,
    report_passes,
    summarise_passes,
)
from ..options import add_changes, add_cores, add_device

NETWORKS = ("tbsi_track/vitb_256_tbsi_32x1_1e4_lasher_15ep_sot", "iimf_track/tiny")
_BATCHES = {"cpu": [1, 4], "cuda": [1, 8, 32, 64], "mps": [1, 4]}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which networks, and how they compute."""
    parser.add_argument("--networks", nargs="+", metavar="SCRIPT/CONFIG", default=list(NETWORKS),
                        help="one or more networks (default: ViT-B IIMF and tiny)")  # fmt: skip
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        help="precisions (default: fp32 and bf16, plain and compiled; on a GPU also fp16)",
    )
    parser.add_argument(
        "--batches", nargs="+", type=int, help="targets of a forward pass (default: 1 4, on a GPU 1 8 32 64)"
    )
    parser.add_argument("--passes", type=int, default=5, help="timed forward passes of a run (default: %(default)s)")
    add_cores(parser)
    add_device(parser)
    add_changes(parser)


def measure(args: argparse.Namespace) -> Report:
    """Measure in turns. Raises InputError for networks that cannot be built."""
    device = choose_device_type(args.device)
    batches = args.batches or _BATCHES[device]
    if args.passes < 1 or min(batches) < 1 or args.threads < 0:
        raise InputError("--passes and --batches: expected 1 or more; --threads: 0 or more")
    variants = args.variants or [name for name in VARIANTS if device == "cuda" or "fp16" not in name]
    networks = {text: MeasuredNetwork.parse(text, args.set) for text in args.networks}
    options = {"passes": args.passes, "repeats": args.repeats, "device": device, "threads": args.threads}
    records = {text: measure_passes(network, variants, batches, **options) for text, network in networks.items()}
    tables = [
        passes_table(network, summarise_passes(records[text]), records[text][variants[0]][0]["device"], args.repeats)
        for text, network in networks.items()
    ]
    return Report(tables, {"machine": describe_machine(), **report_passes(records)})
