"""Parameters, operations and speed of a network, as the family's script of this name: benchmark.py model says more.

python tracking/profile_model.py --script tbsi_track --config vitb_256_tbsi_32x1_1e4_lasher_15ep_sot
python tracking/profile_model.py --script iimf_track --config tiny --device cpu
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.errors import run
from lib.core.table import format_text
from tracking.benchmarks import model


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
    own = argparse.ArgumentParser()
    model.add_arguments(own)
    given = own.parse_args(["--networks", f"{args.script}/{args.config}", "--variants", "fp32", "--batches", "1"])
    given.device, given.repeats = args.device, 1
    print("\n\n".join(map(format_text, model.measure(given).tables)))


if __name__ == "__main__":
    run(main)
