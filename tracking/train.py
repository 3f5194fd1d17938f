"""Train a tracker.

    python tracking/train.py --script iimf_track --config tiny --save_dir ./output/tiny --mode single
    python tracking/train.py --script tbsi_track --config vitb_256_tbsi_32x4_4e4_lasher_15ep_in1k \\
        --save_dir ./output/vitb_256_tbsi_32x4_4e4_lasher_15ep_in1k --mode multiple --nproc_per_node 4
    python tracking/train.py --script dasiamrpn --config synthetic_small --weights_dir ./output/weights

A run that was interrupted goes on after its last complete checkpoint when the same command is given again.
Checkpoints: <save_dir>/checkpoints/train/<script>/<config>/. Curves: tensorboard --logdir <save_dir>/tensorboard
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.config import load_config
from lib.core.errors import run


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", required=True, help="a folder of experiments/, such as tbsi_track")
    parser.add_argument("--config", required=True, help="an experiment of that folder, or a YAML file")
    parser.add_argument("--save_dir", help="checkpoints, logs, curves (default: <save_dir of local.py>/<config>)")
    parser.add_argument(
        "--weights_dir", default="", help="checkpoints go there besides, as <network>_<config>_e001.pth, …_last.pth"
    )
    parser.add_argument("--mode", choices=("single", "multiple", "multi_node"), default="single")
    parser.add_argument("--nproc_per_node", type=int, default=1, metavar="N", help="processes (GPUs) on this machine")
    parser.add_argument("--world-size", "--nnodes", type=int, default=1, metavar="N", help="multi_node: machines")
    parser.add_argument("--rank", type=int, default=0, metavar="K", help="multi_node: number of this machine, from 0")
    parser.add_argument("--ip", default="127.0.0.1", help="multi_node: address of machine 0")
    parser.add_argument("--port", type=int, default=20000, help="multi_node: free port of machine 0")
    parser.add_argument("--wait", type=int, default=900, metavar="S", help="multi_node: seconds to wait for the others")
    parser.add_argument(
        "--max_restarts", type=int, default=0, metavar="N",
        help="so often all processes start again, from the last checkpoint, when one of them dies",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")
    parser.add_argument("--wandb", default="", metavar="PROJECT", help="tell Weights & Biases what TensorBoard is told")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="e.g. TRAIN.LR=1e-4")
    return parser.parse_args()


def main() -> None:
    """Train in this process, or start torchrun with this command in each of its processes."""
    args = parse_arguments()
    cfg = load_config(args.script, args.config, args.set)
    if args.wandb:
        from lib.train.board import check_wandb

        check_wandb(args.wandb)
    if args.mode != "single" and "TORCHELASTIC_RUN_ID" not in os.environ:
        from lib.train.launch import run_processes
        from lib.train.preflight import check_inputs

        check_inputs(cfg)
        raise SystemExit(run_processes(torchrun_command(args)))
    from lib.core.paths import read_local
    from lib.train.run import train

    config = Path(args.config).stem
    save_dir = Path(args.save_dir) if args.save_dir else Path(read_local("train")["save_dir"]) / config
    options = {"device_name": args.device, "wandb": args.wandb, "weights_dir": args.weights_dir}
    train(cfg, script=args.script, config=config, save_dir=save_dir, **options)


def torchrun_command(args: argparse.Namespace) -> list[str]:
    """The same command, once per process."""
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={args.nproc_per_node}"]
    launcher += [f"--max_restarts={args.max_restarts}"]
    if args.mode == "multiple":
        launcher += ["--standalone"]
    elif args.max_restarts:  # machines must be able to meet again
        launcher += [f"--nnodes={args.world_size}", "--rdzv_backend=c10d", f"--rdzv_endpoint={args.ip}:{args.port}"]
        launcher += [f"--rdzv_id={args.script}-{Path(args.config).stem}"]
        launcher += [f"--rdzv_conf=is_host={int(args.rank == 0)},join_timeout={args.wait},read_timeout={args.wait}"]
    else:
        launcher += [f"--nnodes={args.world_size}", f"--node_rank={args.rank}"]
        launcher += [f"--master_addr={args.ip}", f"--master_port={args.port}", f"--rdzv_conf=timeout={args.wait}"]
    return [*launcher, *sys.argv]


if __name__ == "__main__":
    run(main)
