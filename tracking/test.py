r"""Follow the sequences of a data set and write one result file for each.

    python tracking/test.py tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --dataset_name lasher_test \
        --threads 6 --num_gpus 1
    python tracking/test.py iimf_track tiny --dataset_name folder --data_dir ~/videos --checkpoint tiny.safetensors
    python tracking/test.py ostrack vitb_256_mae_ce_32x4_ep300 --dataset_name folder --data_dir ~/LaSOT --sequence 0
    python tracking/test.py tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --batch 64 --precision bf16 --compile \
        --mode multiple --nproc_per_node 4

Results: <results>/<tracker>/<config>/<sequence>.txt (tab-separated x y w h, pixels), <sequence>_time.txt (seconds) and
<sequence>_confidence.txt (score; 1 where the target was found).
Finished sequences are skipped, so the same command continues an interrupted run.
"""

import argparse
import functools
import logging
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.core.checkpoint import find_checkpoint
from lib.core.config import load_config
from lib.core.distributed import own_device
from lib.core.errors import InputError, run
from lib.core.launch import add_launch_arguments, is_launcher, run_processes, torchrun_command
from lib.core.paths import read_local
from lib.core.work_sharing import WorkSharing, share_work
from lib.datasets.camera import CAMERAS, keep_camera
from lib.datasets.sequence import Sequence
from lib.test.evaluation.engine import Job, choose_devices, run_job, run_share, share_cores
from lib.test.evaluation.open import config_name, load_tracker, named_sequences, record_run
from lib.test.results.files import finished, result_folder, write_result
from lib.test.tracker.forward_pass import CROPS, PRECISIONS, Mode

log = logging.getLogger(__name__)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracker_name", help="a folder of experiments/")
    parser.add_argument("tracker_param", help="a configuration in that folder, or a YAML file")
    parser.add_argument("--dataset_name", default="lasher_test", help="a data set, or 'folder' with --data_dir")
    parser.add_argument(
        "--data_dir",
        help="where the data set is (default: local.py); folder takes any "
        "directory of sequences in LasHeR, RGBT234 or LaSOT layout",
    )
    parser.add_argument("--sequence", help="only this one: its name, or its index from 0")
    parser.add_argument(
        "--threads", type=int, default=0, help="worker processes, each with its own network; 0 and 1: none"
    )
    parser.add_argument("--num_gpus", type=int, default=1, help="GPUs that the workers share in turns")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument(
        "--runid", type=int, help="epoch of the checkpoint (default TEST.EPOCH); results get its number"
    )
    parser.add_argument("--checkpoint", help="a .pth.tar, .pth or .safetensors file instead of the newest training's")
    parser.add_argument("--results_dir", help="where results go, instead of results_dir of local.py")
    parser.add_argument("--integer_boxes", action="store_true", help="cut boxes to whole pixels as the family does")
    parser.add_argument(
        "--modality",
        choices=("both", *CAMERAS),
        default="both",
        help="visible, infrared: only this camera works, the other stream is black; results go to <config>_<modality>",
    )
    parser.add_argument(
        "--fails_at", type=int, default=0, metavar="FRAME",
        help="with --modality: the other camera works until this frame (from 0); results go to ..._from<FRAME>",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=int, default=1, metavar="N", help="sequences that a network follows in lock step"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="of the network; fp32: published numbers"
    )
    parser.add_argument(
        "--crops", choices=CROPS, default="exact", help="exact: OpenCV; fast: on the device, from JPEGs decoded smaller"
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile; on a GPU one CUDA graph per step")
    add_launch_arguments(parser, "after the finished sequences")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change keys of the configuration"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.fails_at < 0 or (args.fails_at and args.modality == "both"):
        raise InputError(f"--fails_at {args.fails_at}: expected 1 or more, and --modality for the camera that stays")
    cfg = load_config(args.tracker_name, args.tracker_param, args.set)
    mode = Mode(args.precision, args.crops, args.compile, args.batch)
    devices = choose_devices(args.device, args.threads, args.num_gpus)
    if args.mode != "single" and len(devices) > 1:
        raise InputError(
            f"--threads {args.threads} --mode {args.mode}: --nproc_per_node says how many processes there are"
        )
    mode.check(devices[0])
    sequences = read_sequences(args, len(cfg.DATA.MEAN) // 3)
    config = config_name(args.tracker_param)
    epoch = cfg.TEST.EPOCH if args.runid is None else args.runid
    checkpoint = args.checkpoint or find_checkpoint(read_local("test")["save_dir"], args.tracker_name, config, epoch)
    results_dir = args.results_dir or read_local("test")["results_dir"]
    folder = result_folder(results_dir, args.tracker_name, result_name(args), args.runid)
    record_run(folder, cfg, checkpoint, integer_boxes=args.integer_boxes, mode=mode)
    if is_launcher(args):
        raise SystemExit(run_processes(torchrun_command(args, f"{args.tracker_name}-{config}")))
    sharing = share_work()
    pending = left_to_do(sequences, folder, sharing)
    workers = sharing.size if sharing else len(devices)
    mode = replace(mode, batch=max(1, min(args.batch, -(-len(pending) // workers))))  # none takes what others wait for
    job = Job(
        build=functools.partial(load_tracker, cfg, checkpoint, mode=mode),
        save=functools.partial(write_result, folder, integer_boxes=args.integer_boxes),
        sequences=pending,
        batch=mode.batch,
    )
    begin = time.perf_counter()
    if sharing:
        share_cores()
        run_share(job, str(own_device(args.device)), sharing)
    elif pending:
        run_job(job, devices[: len(pending)])
    if not sharing or sharing.rank == 0:
        report(args, folder, sum(map(len, pending)), time.perf_counter() - begin)


def read_sequences(args: argparse.Namespace, modalities: int) -> list[Sequence]:
    """The sequences that the command line names, as the cameras that work see them."""
    sequences = named_sequences(args.dataset_name, args.data_dir, args.sequence, lambda: read_local("test"))
    if args.modality == "both":
        return sequences
    return [keep_camera(sequence, args.modality, modalities, args.fails_at) for sequence in sequences]


def left_to_do(sequences: list[Sequence], folder: Path, sharing: WorkSharing | None) -> list[Sequence]:
    """What is not finished yet, here or on another machine."""
    done = {sequence.name for sequence in sequences if finished(folder, sequence)}
    done = sharing.gather(done) if sharing else done
    if done and (not sharing or sharing.rank == 0):
        log.info("%d of %d sequences are finished and skipped", len(done), len(sequences))
    return [sequence for sequence in sequences if sequence.name not in done]


def result_name(args: argparse.Namespace) -> str:
    """What the results are called: those of one camera are never mixed with those of both."""
    config = config_name(args.tracker_param)
    if args.modality == "both":
        return config
    return f"{config}_{args.modality}" + (f"_from{args.fails_at}" if args.fails_at else "")


def report(args: argparse.Namespace, folder: Path, frames: int, seconds: float) -> None:
    """Where the results lie, how fast they came, and the command to run next."""
    speed = (
        f"{frames} frames in {seconds:.1f} s, {frames / seconds:.1f} frames/s" if frames else "nothing was left to do"
    )
    print(f"results: {folder} ({speed})")
    command = ["python", "tracking/analysis_results.py"]
    if args.results_dir:
        command += ["--results", f"{args.tracker_name}={folder}"]
    else:
        command += ["--tracker_name", args.tracker_name, "--tracker_param", result_name(args)]
        command += [] if args.runid is None else ["--runid", str(args.runid)]
    command += ["--dataset_name", args.dataset_name]
    command += ["--data_dir", args.data_dir] if args.data_dir else []
    command += ["--allow_missing"] if args.sequence is not None else []
    print(f"score them: {shlex.join(command)}")


if __name__ == "__main__":
    run(main)
