"""Measure training steps: pairs per second and peak memory, in float32 and bfloat16, compiled, checkpointed.

rgbt benchmark train                                      ViT-B IIMF and tiny, every variant
rgbt benchmark train --networks iimf_track/tiny:16 --variants fp32 "bf16 compiled" --steps 10
rgbt benchmark train --device cuda --json train.json --markdown train.md
"""

import argparse

from ...core.distributed import choose_device_type
from ...core.errors import InputError
from ...core.measure.benchmark import Report
from ...train.benchmarks.step import VARIANTS, Workload, measure_steps, report_content, steps_table, summarise_steps
from ..options import add_cores, add_device

_LARGE, _SMALL = "tbsi_track/vitb_256_tbsi_32x1_1e4_lasher_15ep_sot", "iimf_track/tiny"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which networks, and how they are trained."""
    parser.add_argument(
        "--networks", nargs="+", metavar="SCRIPT/CONFIG:PAIRS",
        help=f"networks, and pairs of a step (default: {_LARGE}:32, on a CPU :1, and {_SMALL}:16)",
    )  # fmt: skip
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS),
                        help="default: all; checkpointing: networks with a ViT")  # fmt: skip
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a run, after the first one (default: 5)")
    add_cores(parser)
    add_device(parser)


def measure(args: argparse.Namespace) -> Report:
    """Train in turns. Raises InputError for networks that cannot be trained."""
    if args.steps < 1:
        raise InputError(f"--steps {args.steps}: expected 1 or more")
    if args.threads < 0:
        raise InputError(f"--threads {args.threads}: expected 0 or more")
    device = choose_device_type(args.device)
    named = args.networks or [f"{_LARGE}:{1 if device == 'cpu' else 32}", f"{_SMALL}:16"]
    networks = {text: Workload.parse(text) for text in named}
    options = {"steps": args.steps, "repeats": args.repeats, "device": device, "threads": args.threads}
    records = {text: measure_steps(network, args.variants, **options) for text, network in networks.items()}
    content = report_content(records)
    tables = [
        steps_table(network, summarise_steps(records[text]), records[text][args.variants[0]][0]["device"], args.repeats)
        for text, network in networks.items()
    ]
    return Report(tables, content)
