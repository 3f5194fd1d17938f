r"""Run a tracker in the VOT toolkit. The toolkit starts this command; --register tells it how.

    python tracking/vot_tracker.py --register WORKSPACE iimf_track tiny
    python tracking/vot_tracker.py --register WORKSPACE tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --name tbsi
    vot evaluate --workspace WORKSPACE iimf_track_tiny

--register adds an entry to WORKSPACE/trackers.ini, with the checkpoint found now; no entry is ever changed.
"""

import argparse
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.checkpoint import find_checkpoint
from lib.core.config import load_config
from lib.core.errors import InputError, run
from lib.core.paths import read_local
from lib.test.evaluation.engine import choose_devices
from lib.test.evaluation.open import config_name, load_tracker
from lib.test.evaluation.vot import CHANNELS, import_trax, register, serve


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracker_name", help="a folder of experiments/")
    parser.add_argument("tracker_param", help="a configuration in that folder, or a YAML file")
    parser.add_argument("--register", metavar="WORKSPACE", help="write the entry of trackers.ini instead of tracking")
    parser.add_argument("--name", help="what the toolkit calls the tracker (default: <tracker>_<config>)")
    parser.add_argument(
        "--channels", nargs="+", choices=CHANNELS, help="what the tracker sees (default: what its network reads)"
    )
    parser.add_argument("--runid", type=int, help="epoch of the checkpoint (default TEST.EPOCH)")
    parser.add_argument("--checkpoint", help="a .pth.tar, .pth or .safetensors file instead of the newest training's")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change keys of the configuration"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    cfg = load_config(args.tracker_name, args.tracker_param, args.set)
    trax = import_trax()
    epoch = cfg.TEST.EPOCH if args.runid is None else args.runid
    checkpoint = args.checkpoint or find_checkpoint(
        read_local("test")["save_dir"], args.tracker_name, config_name(args.tracker_param), epoch
    )
    if args.register is not None:
        write_entry(args, Path(checkpoint))
        return
    if sys.stdin.isatty() and "TRAX_SOCKET" not in os.environ:
        raise InputError("the VOT toolkit starts this command; write its entry with --register WORKSPACE")
    tracker = load_tracker(cfg, checkpoint, choose_devices(args.device, threads=1, num_gpus=1)[0])
    channels = [name for name in CHANNELS if name in (args.channels or CHANNELS[: tracker.modalities])]
    serve(tracker, trax, channels, name=name_of(args))


def write_entry(args: argparse.Namespace, checkpoint: Path) -> None:
    """Tell the toolkit how to start this tracker with this checkpoint."""
    if not checkpoint.is_file():
        raise InputError(f"{checkpoint}: checkpoint does not exist; give one with --checkpoint")
    param = args.tracker_param
    param = str(Path(param).resolve()) if param.endswith((".yaml", ".yml")) else param
    command = [sys.executable, str(Path(__file__).resolve()), args.tracker_name, param]
    command += ["--checkpoint", str(checkpoint.resolve()), "--device", args.device]
    command += ["--channels", *args.channels] if args.channels else []
    command += ["--set", *args.set] if args.set else []
    label = f"{args.tracker_name} {config_name(args.tracker_param)}"
    path = register(args.register, name_of(args), label, command)
    print(f"registered: [{name_of(args)}] in {path}")
    print(f"run it: vot evaluate --workspace {args.register} {name_of(args)}")


def name_of(args: argparse.Namespace) -> str:
    """What the toolkit calls the tracker."""
    return args.name or re.sub(r"[^a-zA-Z0-9_-]", "_", f"{args.tracker_name}_{config_name(args.tracker_param)}")


if __name__ == "__main__":
    run(main)
