"""A list of measurements in separate processes, each bounded in time; one that fails does not stop the others."""

import contextlib
import json
import os
import signal
import site
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

from ..process import PARENT
from .benchmark import measurement_command, measurement_environment

DONE, FAILED, STOPPED, LEFT_OUT = STATES = ("done", "failed", "stopped", "left out")
_LEAST = 5.0  # seconds; with less to go no step begins
_SHOWN = 40  # last lines of what a failed step printed

#: Where programs keep files between runs -> folder of `Scratch`
_CACHES = {
    "RGBT_CACHE": "toolbox",
    "RGBT_HOME": "home",
    "HOME": "home",
    "XDG_CACHE_HOME": "home/.cache",
    "XDG_CONFIG_HOME": "home/.config",
    "TMPDIR": "tmp",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
    "TORCH_EXTENSIONS_DIR": "extensions",
    "TORCH_HOME": "torch",
    "HF_HOME": "huggingface",
    "CUDA_CACHE_PATH": "cuda",
    "MPLCONFIGDIR": "matplotlib",
}


@dataclass(frozen=True)
class Step:
    """A measurement in a process of its own."""

    name: str
    module: str  # full name of a module of lib, or the path of a script; it reads its job and writes its answer
    job: Mapping[str, Any]
    seconds: float  # at most
    alone: bool = True  # whether nothing else may run: for timing
    kind: str = ""  # which table of the page shows its answer


@dataclass
class Outcome:
    """What became of a step."""

    step: Step
    state: str = LEFT_OUT
    seconds: float = 0.0
    answer: dict[str, Any] = field(default_factory=dict)
    error: str = ""  # last lines of what it printed, with the traceback

    def content(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Scratch:
    """A folder for everything that steps write: their files, logs, and the caches of the programs below them."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        for name in ("files", "logs", *(f"cache/{place}" for place in _CACHES.values())):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    @property
    def files(self) -> Path:
        """For the files of steps."""
        return self.folder / "files"

    @property
    def compiled(self) -> Path:
        """For compiled code, which later steps and runs use again."""
        return self.folder / "cache" / _CACHES["TORCHINDUCTOR_CACHE_DIR"]

    def environment(self) -> dict[str, str]:
        """The environment of a step. Packages in the user's own folder stay there."""
        places = {name: str(self.folder / "cache" / place) for name, place in _CACHES.items()}
        known = {"PYTHONUSERBASE": site.getuserbase(), PARENT: str(os.getpid()), "PYTHONDONTWRITEBYTECODE": "1"}
        return {**measurement_environment(), **places, **known}

    def log(self, step: Step) -> Path:
        """What a step printed."""
        kept = "".join(sign if sign.isalnum() or sign in ".-" else "_" for sign in step.name)
        return self.folder / "logs" / f"{kept}.log"


def run_steps(
    steps: Many[Step], scratch: Scratch, *, seconds: float, together: int, report: Callable[[list[Outcome]], None]
) -> list[Outcome]:
    """The outcomes of steps, in their order, within so many seconds in all.

    together: how many of the steps that need not be alone run at a time. report: called with all outcomes after every
    step. What has no time left is left out.
    """
    end, lock = time.monotonic() + seconds, threading.Lock()
    outcomes = [Outcome(step) for step in steps]
    running: list[subprocess.Popen[str]] = []

    def run(outcome: Outcome) -> None:
        allowed = min(outcome.step.seconds, end - time.monotonic())
        if allowed >= min(_LEAST, outcome.step.seconds):
            run_step(outcome, scratch, allowed, running)
        with lock:
            report(outcomes)

    for alone, group in groupby(outcomes, key=lambda outcome: outcome.step.alone):
        with ThreadPoolExecutor(1 if alone else together) as pool:
            try:
                list(pool.map(run, group))
            except BaseException:  # Ctrl-C, or a report that cannot be written
                end = 0.0
                for process in running:
                    _stop(process)
                raise
    return outcomes


def run_step(outcome: Outcome, scratch: Scratch, seconds: float, running: "list[subprocess.Popen[str]]") -> None:
    """Run the step of an outcome, and complete the outcome. The process and those that it started are stopped after so
    many seconds. running: is given the process."""
    step, begin = outcome.step, time.monotonic()
    path = scratch.log(step)
    with open(path, "w", encoding="utf-8") as log:
        process = _start(step, scratch, log)
        running.append(process)
        try:
            text, _ = process.communicate(json.dumps(dict(step.job)), timeout=seconds)
            outcome.state = FAILED if process.returncode else DONE
        except subprocess.TimeoutExpired:
            text, outcome.state = "", STOPPED
        finally:
            _stop(process)
            process.wait()
    outcome.seconds = time.monotonic() - begin
    end = f"exit status {process.returncode}"
    if outcome.state == DONE:
        try:
            outcome.answer = json.loads(text)
        except ValueError:
            outcome.state, end = FAILED, "its answer is not JSON"
    if outcome.state != DONE:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        outcome.error = "\n".join([*([end] if outcome.state == FAILED else []), *lines[-_SHOWN:]])


def _start(step: Step, scratch: Scratch, log: TextIO) -> "subprocess.Popen[str]":
    command = [sys.executable, step.module] if step.module.endswith(".py") else measurement_command(step.module)
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=scratch.environment(),
        cwd=scratch.files,
        start_new_session=True,
    )


def _stop(process: "subprocess.Popen[str]") -> None:
    """End a process that still runs, and what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # where all of them have ended
        os.killpg(process.pid, signal.SIGKILL)
