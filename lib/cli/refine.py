r"""Refine the boxes of anybody's result files with a refiner, and write refined result files.

    rgbt refine results/superdimp --refine alpha_refine/secm_r34 --dataset_name lasot \
        --out results/superdimp_refined
    rgbt refine results/lost --refine alpha_refine/secm_r34 --dataset_name folder \
        --data_dir ~/videos --masks

RESULTS is a folder of <sequence>.txt files (x y w h, pixels) or one in the layout of GOT-10k or VOT. Each frame's box
is refined by itself, as behind a tracker that does not continue from refined boxes. Confidences are copied. Finished
sequences are skipped, so the same command continues an interrupted run.
"""

import argparse
import functools
import json
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..core.atomic import write_atomically
from ..core.bounded import parse_json
from ..core.errors import InputError, run
from ..core.lock import hold
from ..core.paths import read_local
from ..core.words import counted
from ..datasets.named import data_name
from ..datasets.sequence import Sequence
from ..test.analysis.leaderboard import shortened
from ..test.evaluation.engine import TrackingJob, run_tracking
from ..test.evaluation.open import Run, load_refiner, open_refiner, open_replay
from ..test.evaluation.record import digest, find_finished, record_run, undo_without_results
from ..test.evaluation.sequences import named_sequences
from ..test.evaluation.workers import choose_devices
from ..test.results.dialect import find_result, read_confidence, read_result
from ..test.results.files import write_result
from ..test.results.origin import add_origins, origin_of, read_origins
from ..test.tracker.forward_pass import Mode
from ..test.tracker.protocol import Tracker
from ..test.tracker.refined import Refined
from .options import add_data, add_device, add_out, add_sequence, add_workers
from .parser import Argv, Parser
from .refine_options import (
    EXAMPLE,
    add_masks,
    add_refine,
    asked_refiner,
    discard_unfinished,
    masks_words,
    open_masks,
)
from .test_options import add_speed

log = logging.getLogger(__name__)

SOURCES = "refined.json"  # sequence -> digest of the result file that was refined
LARGEST = 64 << 20  # bytes of it


def parse_arguments(argv: Argv) -> argparse.Namespace:
    """The command line."""
    parser = Parser("refine", __doc__, argv)
    parser.add_argument("results", metavar="RESULTS", type=Path, help="folder of result files")
    add_refine(parser)
    add_data(parser, None)
    add_sequence(parser)
    parser.add_argument("--allow_missing", action="store_true", help="leave out sequences without a result")
    add_out(parser, "--results_dir", what="folder for results (default: RESULTS_refined_<configuration>)", type=Path)
    add_masks(parser)
    add_workers(parser)
    add_device(parser)
    add_speed(parser)
    return parser.read()


def main(argv: Argv = None) -> None:
    """Refine the results that are not refined yet."""
    args = parse_arguments(argv)
    if not args.refine:
        raise InputError(f"--refine: name the refiner, for example --refine {EXAMPLE}")
    mode = Mode(args.precision, args.crops, args.compile, args.batch, args.backend)
    devices = tuple(choose_devices(args.device, args.threads, args.num_gpus))
    refiner = open_refiner(args.refine, asked_refiner(args), devices)
    refiner.check(mode)
    sequences = with_results(args, named_sequences(
        args.dataset_name, args.data_dir, args.sequence, lambda: read_local("test"), refiner.streams
    ))  # fmt: skip
    folder = args.out or args.results.with_name(f"{args.results.resolve().name}_refined_{refiner.config}")
    if folder.resolve() == args.results.resolve():
        raise InputError(f"--out {folder}: is the folder of the results themselves; choose another one")
    begin = time.perf_counter()
    with hold(folder, "choose another folder (--out)"), undo_without_results(folder, SOURCES):
        pending = prepare(args, refiner, sequences, folder, mode)
        write = functools.partial(SaveRefined(args.results), functools.partial(write_result, folder))
        save, on_target = open_masks(args, refiner, folder, write)
        mode = replace(mode, batch=max(1, min(mode.batch, -(-len(pending) // len(refiner.devices)))))
        refiner.prepare(mode)
        build = functools.partial(load_refined, args.results, refiner, mode=mode)
        job = TrackingJob(build, save, pending, batch=mode.batch, on_target=on_target)
        if pending:
            with discard_unfinished(on_target, pending):
                run_tracking(job, refiner.devices[: len(pending)])
    frames, seconds = sum(map(len, pending)), time.perf_counter() - begin
    speed = f"{counted(frames, 'frame')} in {seconds:.1f} s, {frames / seconds:.1f} frames/s"
    print(f"refined: {folder} ({speed if frames else 'nothing was left to do'})")


def with_results(args: argparse.Namespace, sequences: list[Sequence]) -> list[Sequence]:
    """The sequences that have a result. Raises InputError where some have none and --allow_missing is not given."""
    there = [sequence for sequence in sequences if find_result(args.results, sequence.name) is not None]
    missing = [sequence.name for sequence in sequences if sequence not in there]
    if not there:
        raise InputError(f"{args.results}: has no result of these sequences; a file {missing[0]}.txt is expected there")
    if missing and not args.allow_missing:
        raise InputError(
            f"{args.results}: lacks the results of {shortened(missing, 10)}; add them, or give --allow_missing"
        )
    for sequence in there:
        rows = len(read_result(_result(args.results, sequence.name)))
        if rows != len(sequence):
            raise InputError(f"{args.results}: {sequence.name}: {rows} boxes for {counted(len(sequence), 'frame')}")
    return there


def prepare(
    args: argparse.Namespace, refiner: Run, sequences: list[Sequence], folder: Path, mode: Mode
) -> list[Sequence]:
    """Record what this run does; the sequences that are left to do. Raises InputError where the folder holds results
    of another refiner, of other data, or of other boxes."""
    data = data_name(args.dataset_name, args.data_dir)
    origins = {sequence.name: origin_of(sequence, data) for sequence in sequences}
    done = find_finished(folder, sequences, origins, read_origins(folder))
    own = {sequence.name: digest(_result(args.results, sequence.name)) for sequence in sequences}
    known = _read_sources(folder / SOURCES)
    changed = sorted(name for name in done if known.get(name) != own[name])
    if changed:
        raise InputError(
            f"{folder}: {changed[0]} was refined from another result than {_result(args.results, changed[0])}; "
            "choose another folder (--out) or remove this one"
        )
    masks = masks_words(args, refiner)
    record_run(folder, refiner.cfg, refiner.files, mode=mode, refined="boxes of result files", masks=masks)
    add_origins(folder, origins)
    with write_atomically(folder / SOURCES) as temporary:
        temporary.write_text(json.dumps(known | own, indent=1), encoding="utf-8")
    if done:
        log.info("%d of %s finished already, not refined again", len(done), counted(len(sequences), "sequence"))
    return [sequence for sequence in sequences if sequence.name not in done]


def load_refined(results: Path, refiner: Run, device: str, mode: Mode) -> Tracker:
    """The result files of a folder as a tracker whose boxes are refined."""
    return Refined(open_replay(results), load_refiner(refiner.cfg, refiner.weights, device, mode))


@dataclass(frozen=True)
class SaveRefined:
    """Completes refined results before they are saved. Picklable."""

    results: Path  # folder of those that are refined

    def __call__(
        self, save: functools.partial[None], name: str, boxes: np.ndarray, seconds: np.ndarray, confidence: np.ndarray
    ) -> None:
        """Save a result with the confidences of the one that was refined. A frame in which that has no box repeats the
        last one, and counts as not found."""
        own = read_confidence(_result(self.results, name), name)
        if own is not None and len(own) == len(confidence) and np.isfinite(own).all():
            confidence = np.where(confidence[:, 1:] > 0, own, 0.0)
        lost = ~np.isfinite(boxes).all(1)
        for row in np.flatnonzero(lost):
            boxes[row] = boxes[row - 1]
        if lost.any():
            log.info("%s: %d frames without a box; the box before is repeated", name, lost.sum())
        save(name, boxes, seconds, confidence)


def _read_sources(path: Path) -> dict[str, str]:
    """Raises InputError for a damaged file."""
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        found = parse_json(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("not a table")
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error}); choose another folder (--out) or remove this one") from None
    return found


def _result(folder: Path, name: str) -> Path:
    path = find_result(folder, name)
    assert path is not None  # `with_results` looked
    return path


if __name__ == "__main__":
    run(main)
