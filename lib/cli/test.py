r"""Track the targets of a data set and write one result file for each sequence.

    rgbt test tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --dataset_name lasher_test \
        --threads 6 --num_gpus 1
    rgbt test iimf_track tiny --dataset_name folder --data_dir ~/videos --checkpoint tiny.safetensors
    rgbt test ostrack vitb_256_mae_ce_32x4_ep300 --dataset_name folder --data_dir ~/LaSOT --sequence 0
    rgbt test iimf_track tiny --dataset_name lasher_test --refine alpha_refine/secm_r34 --masks
    rgbt test tbsi_track vitb_256_tbsi_32x1_1e4_lasher_15ep_sot --batch 64 --precision bf16 --compile \
        --mode multiple --nproc_per_node 4

Results: <out>/<tracker>/<config>/<sequence>.txt (tab-separated x y w h, pixels), <sequence>_time.txt (seconds) and
<sequence>_confidence.txt (score; 1 where the target was found).
Finished sequences are skipped, so the same command continues an interrupted run.
"""

import argparse
import functools
import logging
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from ..core.atomic import make_folder
from ..core.distributed import own_device
from ..core.errors import InputError, run
from ..core.frame import Streams
from ..core.launch import add_launch_arguments, is_launcher, run_processes, torchrun_command
from ..core.lock import hold
from ..core.paths import read_local, typed_command
from ..core.words import counted
from ..core.work_sharing import WorkSharing, share_work
from ..datasets.camera import keep_camera
from ..datasets.named import data_name
from ..datasets.sequence import Sequence
from ..test.analysis.leaderboard import shortened
from ..test.evaluation.engine import SaveResult, TrackingJob, run_rank, run_tracking, share_cores
from ..test.evaluation.open import Run, load_run
from ..test.evaluation.record import (
    absent_records,
    find_finished,
    record_run,
    remove_idle_records,
    undo_without_results,
)
from ..test.evaluation.sequences import named_sequences
from ..test.results.files import result_folder, result_paths, write_result
from ..test.results.origin import add_origins, origin_of, read_origins
from ..test.tracker.forward_pass import Mode
from .commands import own_command
from .opened import open_named
from .options import (
    add_changes,
    add_data,
    add_device,
    add_out,
    add_sequence,
    add_tracker,
    add_weights,
    add_workers,
)
from .parser import Argv, Parser
from .refine_options import add_masks, add_refine, discard_unfinished, masks_words, open_masks
from .test_options import add_cameras, add_speed, add_watching, check_watching, open_watcher

log = logging.getLogger(__name__)

SHOWN = 20  # names in one line
_ELSEWHERE = "choose another folder (--results_dir, --out)"


def make_parser(argv: Argv) -> Parser:
    """The command line."""
    parser = Parser("test", __doc__, argv)
    add_tracker(parser)
    add_data(parser, "lasher_test")
    add_sequence(parser)
    add_workers(parser)
    add_device(parser)
    add_weights(parser)
    add_out(parser, "--results_dir", what="folder for results (default: results_dir of local.py)")
    parser.add_argument(
        "--integer_boxes", action="store_true", help="truncate boxes to whole pixels, as the OSTrack code base does"
    )
    add_refine(parser)
    add_masks(parser)
    add_cameras(parser)
    add_speed(parser)
    add_watching(parser)
    add_launch_arguments(parser, "after the finished sequences")
    add_changes(parser)
    return parser


def main(argv: Argv = None) -> None:
    """Track in this process, in workers, or in the processes that torchrun starts."""
    parser = make_parser(argv)
    args = parser.read()
    network = open_network(args)
    mode = Mode(args.precision, args.crops, args.compile, args.batch, args.backend)
    network.check(mode)
    sequences = read_sequences(args, network.streams)
    folder = result_folder(
        args.out or read_local("test")["results_dir"], args.tracker, result_name(args, network), args.runid
    )
    data = data_name(args.dataset_name, args.data_dir)
    origins = {sequence.name: origin_of(sequence, data) for sequence in sequences}
    record = functools.partial(
        record_run, folder, network.cfg, network.files, integer_boxes=args.integer_boxes, mode=mode,
        refiner=network.refined_by, masks=masks_words(args, network),
    )  # fmt: skip
    if is_launcher(args):
        with undo_launch(folder) if args.world_size == 1 else nullcontext():
            if args.rank == 0:
                with hold(folder, _ELSEWHERE):
                    record()  # refuses before many processes start
            network.prepare(mode)
            again = [*own_command("test"), *parser.argv]
            raise SystemExit(run_processes(torchrun_command(args, f"{args.tracker}-{network.config}", again)))
    sharing = share_work()
    first = sharing is None or sharing.rank == 0
    with (
        hold(folder, _ELSEWHERE) if first else nullcontext(),
        undo_without_results(folder) if sharing is None else nullcontext(),
    ):
        done = find_finished(folder, sequences, origins, read_origins(folder))
        if first:
            record()
        pending = left_to_do(sequences, done, sharing)  # all processes wait for the first one here
        if not first:
            record()
        add_origins(folder, {sequence.name: origins[sequence.name] for sequence in pending})
        write = functools.partial(write_result, folder, integer_boxes=args.integer_boxes)
        save, on_target = open_masks(args, network, folder, write)
        if pending and len(network.devices) > 1:
            network.prepare(mode)
        job = make_job(network, mode, save, pending, sharing.size if sharing else len(network.devices))
        begin = time.perf_counter()
        try:
            with (
                open_watcher(args, f"{args.tracker}-{folder.name}-test") as watcher,
                discard_unfinished(on_target, pending) if sharing is None else nullcontext(),
            ):
                track(replace(job, watcher=watcher, on_target=on_target), network, sharing, args.device)
        except (InputError, OSError):
            report_rest(sequences, folder, parser.argv)
            raise
    if first:
        report(args, folder, sum(map(len, pending)), time.perf_counter() - begin)


@contextmanager
def undo_launch(folder: Path) -> Iterator[None]:
    """As `undo_without_results`, around processes that take the lock themselves."""
    with make_folder(folder):
        absent = absent_records(folder)
        try:
            yield
        except BaseException:
            with suppress(InputError, OSError), hold(folder, _ELSEWHERE):  # unless another run writes here
                remove_idle_records(folder, absent)
            raise


def track(job: TrackingJob, network: Run, sharing: WorkSharing | None, device: str) -> None:
    """Track the sequences of a job, or the share of this process."""
    if sharing:
        share_cores()
        run_rank(job, str(own_device(device)), sharing)
    elif job.sequences:
        run_tracking(job, network.devices[: len(job.sequences)])


def open_network(args: argparse.Namespace) -> Run:
    """The network with its weights and devices. Raises InputError for options that contradict each other."""
    if args.fails_at is not None and (args.fails_at < 2 or args.modality == "both"):
        raise InputError(f"--fails_at {args.fails_at}: expected 2 or more, and --modality for the camera that stays")
    check_watching(args)
    network = open_named(args)
    if args.mode != "single" and len(network.devices) > 1:
        raise InputError(
            f"--threads {args.threads} --mode {args.mode}: --nproc_per_node says how many processes there are"
        )
    return network


def read_sequences(args: argparse.Namespace, streams: Streams) -> list[Sequence]:
    """The sequences that the command line names, in which a camera that does not work is black."""
    read = streams if args.modality == "both" else Streams(1)  # a camera that does not work is black, not a grey copy
    sequences = named_sequences(args.dataset_name, args.data_dir, args.sequence, lambda: read_local("test"), read)
    if args.modality == "both":
        return sequences
    since = (args.fails_at or 1) - 1
    return [keep_camera(sequence, args.modality, streams.modalities, since) for sequence in sequences]


def left_to_do(sequences: list[Sequence], done: set[str], sharing: WorkSharing | None) -> list[Sequence]:
    """The sequences that are not finished yet, here (`done`) or on another machine."""
    done = sharing.gather(done) if sharing else done
    pending = [sequence for sequence in sequences if sequence.name not in done]
    if done and (not sharing or sharing.rank == 0):
        count = f"{len(done)} of {counted(len(sequences), 'sequence')}"
        log.info("%s finished already, not tracked again; to do so choose another --out", count)
    return pending


def result_name(args: argparse.Namespace, network: Run) -> str:
    """The name of the result folder; results of one camera and of both cameras, and with --refine and without it, have
    different names."""
    name = network.config
    if args.refine and network.refiner:
        name += f"_refined_{network.refiner.config}"
    if args.modality == "both":
        return name
    return f"{name}_{args.modality}" + (f"_fails_at{args.fails_at}" if args.fails_at else "")


def make_job(network: Run, mode: Mode, save: SaveResult, pending: list[Sequence], workers: int) -> TrackingJob:
    """The job for the pending sequences, with a batch so small that every worker gets some of them."""
    mode = replace(mode, batch=max(1, min(mode.batch, -(-len(pending) // workers))))
    return TrackingJob(functools.partial(load_run, network, mode=mode), save, pending, batch=mode.batch)


def report_rest(sequences: list[Sequence], folder: Path, argv: list[str]) -> None:
    """Print what is finished when a run ends with an error, and the command that goes on."""
    done = [sequence.name for sequence in sequences if result_paths(folder, sequence.name)[0].is_file()]
    left = [sequence.name for sequence in sequences if sequence.name not in done]
    count = counted(len(sequences), "sequence")
    print(f"finished: {len(done)} of {count} ({shortened(done, SHOWN) or 'none'}) in {folder}")
    print(f"not finished: {shortened(left, SHOWN)}")
    print(f"after the remedy this goes on: {typed_command('test', 'test')} {shlex.join(argv)}", flush=True)


def report(args: argparse.Namespace, folder: Path, frames: int, seconds: float) -> None:
    """Print where the results are, the speed, and the command that scores them."""
    speed = "nothing was left to do"
    if frames:
        speed = f"{counted(frames, 'frame')} in {seconds:.1f} s, {frames / seconds:.1f} frames/s"
    print(f"results: {folder} ({speed})")
    command = []
    if args.out:
        command += ["--results", f"{args.tracker}={folder}"]
    else:
        name = folder.name if args.runid is None else folder.name.removesuffix(f"_{args.runid:03d}")
        command += ["--tracker_name", args.tracker, "--tracker_param", name]
        command += [] if args.runid is None else ["--runid", str(args.runid)]
    command += ["--dataset_name", args.dataset_name]
    command += ["--data_dir", args.data_dir] if args.data_dir else []
    command += ["--allow_missing"] if args.sequence is not None else []
    print(f"score them: {typed_command('score', 'analysis_results')} {shlex.join(command)}")


if __name__ == "__main__":
    run(main)
