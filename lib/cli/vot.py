r"""Run a tracker in the VOT toolkit; --register tells the toolkit how to start it.

    rgbt vot --register WORKSPACE iimf_track tiny
    rgbt vot --register WORKSPACE tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --name tbsi
    rgbt vot --register WORKSPACE dasiamrpn dasiamrpn_vot --refine alpha_refine/secm_r34 --masks \
        --mask_threshold 0.65
    vot evaluate --workspace WORKSPACE iimf_track_tiny

--register adds an entry to WORKSPACE/trackers.ini, with the checkpoint that is found now. It never changes an entry.
"""

import argparse
import os
import re
import sys
from pathlib import Path

from ..core.errors import InputError, run
from ..test.evaluation.open import Run
from ..test.evaluation.vot import CHANNELS, add_to_workspace, import_trax, serve
from ..test.tracker.forward_pass import TORCH, Mode
from .commands import own_command
from .opened import open_named
from .options import add_backend, add_changes, add_device, add_tracker, add_weights
from .parser import Argv, Parser
from .refine_options import add_refine, add_threshold, threshold_of


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("vot", __doc__, argv)
    add_tracker(parser)
    parser.add_argument(
        "--register", metavar="WORKSPACE", help="add an entry to trackers.ini of this folder, instead of tracking"
    )
    parser.add_argument("--name", help="name of the tracker in the toolkit (default: <tracker>_<config>)")
    parser.add_argument(
        "--channels",
        nargs="+",
        choices=CHANNELS,
        help="images that the toolkit sends (default: what the network reads)",
    )
    add_refine(parser)
    parser.add_argument(
        "--masks",
        action="store_true",
        help="report masks instead of boxes; needs a refiner or a tracker with a mask head",
    )
    add_threshold(parser)
    add_weights(parser)
    add_device(parser)
    add_backend(parser)
    add_changes(parser)
    return parser.read()


def main(argv: Argv = None) -> None:
    """Register the tracker, or track for the toolkit."""
    args = parse_arguments(argv)
    network = open_named(args)
    threshold = threshold_of(args, network) if args.masks else None
    trax = import_trax()
    if args.register is not None:
        write_entry(args, network)
        return
    if sys.stdin.isatty() and "TRAX_SOCKET" not in os.environ:
        raise InputError("the VOT toolkit starts this command; write its entry with --register WORKSPACE")
    tracker = network.load(Mode(backend=args.backend))
    channels = [name for name in CHANNELS if name in (args.channels or CHANNELS[: tracker.streams.modalities])]
    serve(tracker, trax, channels, name=name_of(args, network), threshold=threshold)


def write_entry(args: argparse.Namespace, network: Run) -> None:
    """Write the entry by which the toolkit starts this tracker with this checkpoint."""
    if not network.weights.is_file():
        raise InputError(f"{network.weights}: checkpoint does not exist; give one with --checkpoint")
    config = args.config
    config = str(Path(config).resolve()) if config.endswith((".yaml", ".yml")) else config
    command = [sys.executable, *own_command("vot"), args.tracker, config]
    command += ["--checkpoint", str(network.weights.resolve()), "--device", args.device]
    command += ["--backend", args.backend] if args.backend != TORCH else []
    command += ["--channels", *args.channels] if args.channels else []
    command += ["--set", *args.set] if args.set else []
    command += refine_words(args, network)
    name = name_of(args, network)
    path = add_to_workspace(args.register, name, f"{args.tracker} {network.config}", command)
    print(f"registered: [{name}] in {path}")
    print(f"run it: vot evaluate --workspace {args.register} {name}")


def refine_words(args: argparse.Namespace, network: Run) -> list[str]:
    """The options of the entry that name the refiner with the weights that are found now."""
    if network.refiner is None:
        return ["--refine", args.refine] if args.refine else []
    folder, _, config = (args.refine or network.refiner.name).partition("/")
    config = str(Path(config).resolve()) if config.endswith((".yaml", ".yml")) else config
    words = ["--refine", f"{folder}/{config}", "--refine_checkpoint", str(network.refiner.weights.resolve())]
    words += ["--refine_set", *args.refine_set] if args.refine_set else []
    words += ["--masks"] if args.masks else []
    return words + (["--mask_threshold", str(args.mask_threshold)] if args.mask_threshold is not None else [])


def name_of(args: argparse.Namespace, network: Run) -> str:
    """The name of the tracker in the toolkit."""
    refined = f"_{network.refiner.config}" if network.refiner else ""
    return args.name or re.sub(r"[^a-zA-Z0-9_-]", "_", f"{args.tracker}_{network.config}{refined}")


if __name__ == "__main__":
    run(main)
