"""Show parameters, operations and speed of a network; rgbt benchmark measures more.

rgbt profile --script tbsi_track --config vitb_256_tbsi_32x1_1e4_lasher_15ep_sot
rgbt profile --script iimf_track --config tiny --device cpu
"""

import argparse

from ..core.distributed import choose_device_type
from ..core.errors import run
from ..core.table import format_text
from ..test.benchmarks.model import MeasuredNetwork, measure_passes, passes_table, summarise_passes
from .options import add_device, add_tracker
from .parser import Argv, Parser

TRACKER, CONFIG = "tbsi_track", "vitb_256_tbsi_32x1_1e4_lasher_15ep_sot"


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("profile", __doc__, argv)
    add_tracker(parser, what=f"default: {TRACKER} {CONFIG}", required=False)
    add_device(parser)
    return parser.read()


def main(argv: Argv = None) -> None:
    """Print one table."""
    args = parse_arguments(argv)
    network = MeasuredNetwork(args.tracker or TRACKER, args.config or CONFIG)
    device = choose_device_type(args.device)
    records = measure_passes(network, ["fp32"], [1], passes=5, repeats=1, device=device)
    print(format_text(passes_table(network, summarise_passes(records), records["fp32"][0]["device"], 1)))


if __name__ == "__main__":
    run(main)
