"""Validate a checkpoint on pairs of frames: losses, IoU, and the scores on negative pairs.

    rgbt validate --script dasiamrpn --config synthetic_small --checkpoint FILE --pairs 2000
    rgbt validate --script iimf_track --config tiny --checkpoint pretrained_models/iimf_tiny.safetensors

The score on negative pairs says how probable the network takes another object to be the target; only trackers that
learn from negative pairs have it. The pairs come from DATA.VAL and are the same in every run, so that the figures of
two checkpoints of one configuration can be compared.
"""

import argparse
from pathlib import Path

from ..core.config import load_config
from ..core.errors import InputError, run
from .options import add_changes, add_device, add_tracker
from .parser import Argv, Parser


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("validate", __doc__, argv)
    add_tracker(parser)
    parser.add_argument("--checkpoint", required=True, help="weights in any format that the test command reads")
    parser.add_argument(
        "--pairs", type=int, default=0, metavar="N", help="number of pairs (default: DATA.VAL.SAMPLE_PER_EPOCH)"
    )
    add_device(parser)
    add_changes(parser)
    return parser.read()


def main(argv: Argv = None) -> None:
    """Print one figure per line."""
    args = parse_arguments(argv)
    if args.pairs < 0:
        raise InputError(f"--pairs {args.pairs}: give a number above 0")
    changes = [f"DATA.VAL.SAMPLE_PER_EPOCH={args.pairs}"] if args.pairs else []
    cfg = load_config(args.tracker, args.config, [*args.set, *changes])
    from ..train.validation import validate_checkpoint

    for name, value in validate_checkpoint(cfg, Path(args.checkpoint), device_name=args.device).items():
        print(f"{name:28} {value:.4f}")


if __name__ == "__main__":
    run(main)
