"""Kills a training run after its first checkpoint, goes on with it, and compares it with one that was not interrupted.

Job and answer are JSON on the standard streams. A job holds script, config, set, folder (for both runs, made anew),
device, cache.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from ...core.checkpoint import load_checkpoint
from ...core.config import load_config
from ...core.errors import InputError
from ...core.measure.benchmark import measurement_command, measurement_environment
from ...core.measure.job import MeasurementJob, answer_job
from ...core.paths import FILES, create_local_file
from ..checkpoints import epoch_checkpoints
from ..run import train

_MODULE = f"{__package__}.resume_job"
_WAIT = 0.01  # seconds between two looks for the checkpoint


def check(job: MeasurementJob) -> MeasurementJob:
    """The epoch after which the run was killed and its seconds until then, and the largest difference of a weight of
    the last checkpoints."""
    folder = Path(job["folder"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for kind, path in FILES.items():
        if not path.is_file():
            create_local_file(kind, workspace_dir=folder, data_dir=folder, save_dir=folder)
    begin = time.perf_counter()
    killed = _kill_after_first(job, folder / "killed")
    seconds = time.perf_counter() - begin
    ends = {}
    for name in ("killed", "whole"):
        _train(job, folder / name)
        path = _checkpoints(job, folder / name)[0]
        ends[name] = (path.name, load_checkpoint(path)["net"])
    (last, resumed), (same, whole) = ends["killed"], ends["whole"]
    if last != same or resumed.keys() != whole.keys():
        raise InputError(f"resumed run ends with {last}, the other one with {same}")
    gaps = [(value.double() - whole[key].double()).abs().max() for key, value in resumed.items() if value.numel()]
    return {"killed_after": killed, "seconds": seconds, "difference": float(torch.stack(gaps).max()), "last": last}


def _kill_after_first(job: MeasurementJob, folder: Path) -> str:
    """Start the run in a process of its own and kill it when its first checkpoint is there; the checkpoint's name."""
    process = subprocess.Popen(
        measurement_command(_MODULE), stdin=subprocess.PIPE, stdout=sys.stderr, text=True, env=measurement_environment()
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({**job, "run": str(folder)}))
    process.stdin.close()
    while not _checkpoints(job, folder):
        if process.poll() is not None:
            raise InputError(f"the run ended with status {process.returncode} before its first checkpoint")
        time.sleep(_WAIT)
    os.kill(process.pid, signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        raise InputError("the run ended before it could be killed; give it more epochs")
    return _checkpoints(job, folder)[0].name


def run(job: MeasurementJob) -> MeasurementJob:
    """`check`; or, for a job with "run", only the run whose folder that is."""
    if "run" not in job:
        return check(job)
    _train(job, Path(job["run"]))
    return {}


def _train(job: MeasurementJob, folder: Path) -> None:
    cfg = load_config(job["script"], job["config"], job["set"])
    train(cfg, script=job["script"], config=job["config"], save_dir=folder, device_name=job["device"])


def _checkpoints(job: MeasurementJob, folder: Path) -> list[Path]:
    """Those of a run, the newest first."""
    return epoch_checkpoints(folder / "checkpoints" / "train" / job["script"] / job["config"])


if __name__ == "__main__":
    answer_job(run)
