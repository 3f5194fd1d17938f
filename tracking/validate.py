"""Validate a checkpoint on training pairs: losses, IoU and, where a tracker learns from negative pairs, how probable it
takes other objects to be.

    python tracking/validate.py --script dasiamrpn --config synthetic_small --checkpoint FILE --pairs 2000
    python tracking/validate.py --script iimf_track --config tiny --checkpoint pretrained_models/iimf_tiny.safetensors

The pairs are those of DATA.VAL, the same at every call: figures of two checkpoints of one configuration compare.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.config import load_config
from lib.core.errors import InputError, run


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", required=True, help="a folder of experiments/, such as dasiamrpn")
    parser.add_argument("--config", required=True, help="an experiment of that folder, or a YAML file")
    parser.add_argument("--checkpoint", required=True, help="weights in any format that test.py takes")
    parser.add_argument(
        "--pairs", type=int, default=0, metavar="N", help="so many (default: DATA.VAL.SAMPLE_PER_EPOCH)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="e.g. TRAIN.SEED=1")
    return parser.parse_args()


def main() -> None:
    """Print a figure per line."""
    args = parse_arguments()
    if args.pairs < 0:
        raise InputError(f"--pairs {args.pairs}: give a number above 0")
    changes = [f"DATA.VAL.SAMPLE_PER_EPOCH={args.pairs}"] if args.pairs else []
    cfg = load_config(args.script, args.config, [*args.set, *changes])
    from lib.train.validation import validate_checkpoint

    for name, value in validate_checkpoint(cfg, Path(args.checkpoint), device_name=args.device).items():
        print(f"{name:28} {value:.4f}")


if __name__ == "__main__":
    run(main)
