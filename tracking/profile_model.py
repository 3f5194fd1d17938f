"""Parameters, operations and speed of a network, as the family's script of this name: benchmark.py model says more.

python tracking/profile_model.py --script tbsi_track --config vitb_256_tbsi_32x1_1e4_lasher_15ep_sot
python tracking/profile_model.py --script iimf_track --config tiny --device cpu
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.distributed import choose_device_type
from lib.core.errors import run
from lib.core.table import format_text
from lib.test.benchmarks.model import Network, measure_passes, passes_table, summarise_passes


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", default="tbsi_track", help="a folder of experiments/ (default: %(default)s)")
    parser.add_argument(
        "--config", default="vitb_256_tbsi_32x1_1e4_lasher_15ep_sot", help="a configuration (default: %(default)s)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    network = Network(args.script, args.config)
    device = choose_device_type(args.device)
    records = measure_passes(network, ["fp32"], [1], passes=5, repeats=1, device=device)
    print(format_text(passes_table(network, summarise_passes(records), records["fp32"][0]["device"], 1)))


if __name__ == "__main__":
    run(main)
