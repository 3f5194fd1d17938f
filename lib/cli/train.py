r"""Train a tracker.

    rgbt train --script iimf_track --config tiny --save_dir ./output/tiny --mode single
    rgbt train --script tbsi_track --config vitb_256_tbsi_32x4_4e4_lasher_15ep_in1k \
        --save_dir ./output/vitb_256_tbsi_32x4_4e4_lasher_15ep_in1k --mode multiple --nproc_per_node 4
    rgbt train --script dasiamrpn --config synthetic_small --weights_dir ./output/weights

The same command resumes an interrupted run after its last complete checkpoint.
Checkpoints: <out>/checkpoints/train/<script>/<config>/. Curves: tensorboard --logdir <out>/tensorboard
"""

from pathlib import Path

from ..core.config import config_name, load_config
from ..core.errors import run
from ..core.launch import add_launch_arguments, is_launcher, run_processes, torchrun_command
from ..core.visdom import parse_server
from .commands import own_command
from .options import add_changes, add_device, add_out, add_tracker, add_visdom
from .parser import Argv, Parser


def make_parser(argv: Argv) -> Parser:
    """The command line."""
    parser = Parser("train", __doc__, argv)
    add_tracker(parser)
    add_out(
        parser, "--save_dir", what="folder for checkpoints, logs and curves (default: <save_dir of local.py>/<config>)"
    )
    parser.add_argument(
        "--weights_dir",
        default="",
        help="folder for copies of the checkpoints: <network>_<config>_e001.pth, …_last.pth, …_best.pth",
    )
    add_launch_arguments(parser, "from the last checkpoint")
    add_device(parser)
    parser.add_argument(
        "--wandb", default="", metavar="PROJECT", help="log to this project of Weights & Biases what TensorBoard shows"
    )
    add_visdom(parser, "show on this visdom server what TensorBoard shows")
    add_changes(parser)
    return parser


def main(argv: Argv = None) -> None:
    """Train in this process, or start torchrun with this command in each of its processes."""
    parser = make_parser(argv)
    args = parser.read()
    cfg = load_config(args.tracker, args.config, args.set)
    if args.wandb:
        from ..train.run_log import check_wandb

        check_wandb(args.wandb)
    if args.visdom:
        parse_server(args.visdom)
    config = config_name(args.config)
    from ..train.preflight import check_inputs

    check_inputs(cfg)  # before anything is written or many processes start
    if is_launcher(args):
        again = [*own_command("train"), *parser.argv]
        raise SystemExit(run_processes(torchrun_command(args, f"{args.tracker}-{config}", again)))
    from ..core.paths import read_local
    from ..train.run import train

    save_dir = Path(args.out) if args.out else Path(read_local("train")["save_dir"]) / config
    logs = {"wandb": args.wandb, "visdom": args.visdom}
    where = {"save_dir": save_dir, "device_name": args.device, "weights_dir": args.weights_dir}
    train(cfg, script=args.tracker, config=config, **where, **logs)


if __name__ == "__main__":
    run(main)
