"""Tracking what a result folder still lacks, in this process."""

import functools
from collections.abc import Sequence as Many
from pathlib import Path

from ...core.lock import hold
from ...datasets.sequence import Sequence
from ..results.files import write_result
from ..results.origin import add_origins, origin_of, read_origins
from ..tracker.forward_pass import EXACT, Mode
from .engine import TrackingJob, run_tracking
from .open import Run, load_run
from .record import find_finished, record_run, undo_without_results


def complete_results(run: Run, sequences: Many[Sequence], folder: Path, data: str, mode: Mode = EXACT) -> int:
    """Track the sequences that are not finished in the folder, in the given order. Returns the number of their frames.

    data: as `data_name` says. Raises InputError where the folder holds results of another tracker or of other data, or
    another run writes there, and as tracking does.
    """
    origins = {sequence.name: origin_of(sequence, data) for sequence in sequences}
    with hold(folder, "choose another folder (--out)"), undo_without_results(folder):
        done = find_finished(folder, sequences, origins, read_origins(folder))
        record_run(folder, run.cfg, run.files, mode=mode, refiner=run.refined_by)
        pending = [sequence for sequence in sequences if sequence.name not in done]
        add_origins(folder, {sequence.name: origins[sequence.name] for sequence in pending})
        if pending:
            build = functools.partial(load_run, run, mode=mode)
            run_tracking(TrackingJob(build, functools.partial(write_result, folder), pending, True), run.devices[:1])
    return sum(map(len, pending))
