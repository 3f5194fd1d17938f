"""Train a tracker.

    python tracking/train.py --script iimf_track --config tiny --save_dir ./output/tiny --mode single
    python tracking/train.py --script tbsi_track --config vitb_256_tbsi_32x4_4e4_lasher_15ep_in1k \\
        --save_dir ./output/vitb_256_tbsi_32x4_4e4_lasher_15ep_in1k --mode multiple --nproc_per_node 4
    python tracking/train.py --script dasiamrpn --config synthetic_small --weights_dir ./output/weights

A run that was interrupted goes on after its last complete checkpoint when the same command is given again.
Checkpoints: <save_dir>/checkpoints/train/<script>/<config>/. Curves: tensorboard --logdir <save_dir>/tensorboard
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.config import load_config
from lib.core.errors import run
from lib.core.launch import add_launch_arguments, is_launcher, run_processes, torchrun_command


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", required=True, help="a folder of experiments/, such as tbsi_track")
    parser.add_argument("--config", required=True, help="an experiment of that folder, or a YAML file")
    parser.add_argument("--save_dir", help="checkpoints, logs, curves (default: <save_dir of local.py>/<config>)")
    parser.add_argument(
        "--weights_dir", default="", help="checkpoints go there besides, as <network>_<config>_e001.pth, …_last.pth"
    )
    add_launch_arguments(parser, "from the last checkpoint")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")
    parser.add_argument("--wandb", default="", metavar="PROJECT", help="tell Weights & Biases what TensorBoard is told")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="e.g. TRAIN.LR=1e-4")
    return parser.parse_args()


def main() -> None:
    """Train in this process, or start torchrun with this command in each of its processes."""
    args = parse_arguments()
    cfg = load_config(args.script, args.config, args.set)
    if args.wandb:
        from lib.train.run_log import check_wandb

        check_wandb(args.wandb)
    config = Path(args.config).stem
    if is_launcher(args):
        from lib.train.preflight import check_inputs

        check_inputs(cfg)
        raise SystemExit(run_processes(torchrun_command(args, f"{args.script}-{config}")))
    from lib.core.paths import read_local
    from lib.train.run import train

    save_dir = Path(args.save_dir) if args.save_dir else Path(read_local("train")["save_dir"]) / config
    options = {"device_name": args.device, "wandb": args.wandb, "weights_dir": args.weights_dir}
    train(cfg, script=args.script, config=config, save_dir=save_dir, **options)


if __name__ == "__main__":
    run(main)
