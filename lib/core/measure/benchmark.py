"""What every benchmark shares: turns, jobs in processes of their own, and how its figures are reported."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import InputError
from ..paths import PACKAGE
from ..table import Table
from .machine import describe_machine

Record = TypeVar("Record")


@dataclass(frozen=True)
class Report:
    """What a benchmark hands back: tables for readers, and all that was measured, for JSON."""

    tables: list[Table]
    content: dict[str, Any]


def take_turns(sides: Many[str], measure: Callable[[str, int], Record], *, repeats: int) -> dict[str, list[Record]]:
    """Side -> one record of `measure(side, turn)` per repetition.

    The sides take turns, each time in the other order, so that what else the machine does meets all of them.
    """
    records: dict[str, list[Record]] = {side: [] for side in sides}
    for turn in range(repeats):
        for side in sides if turn % 2 == 0 else reversed(sides):
            records[side].append(measure(side, turn))
    return records


def run_job(module: str, job: Mapping[str, Any], *, python: str = sys.executable, name: str) -> dict[str, Any]:
    """Do a job in a process of its own: JSON in, JSON out, and `process_s`, the seconds from its start to its end.

    module: what does it, by its full name; name: the job's, in messages. Raises InputError with the job's own last line
    when it fails, or when `python` cannot be started.
    """
    module = f"{PACKAGE.name}.{module.partition('.')[2]}"  # under the name that its folder has, for any Python
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    begin = time.perf_counter()
    try:
        command = [python, "-m", module]
        done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, env=environment)
    except OSError as error:
        raise InputError(f"--python {python}: cannot be started: {error.strerror}") from None
    seconds = time.perf_counter() - begin
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise InputError(f"{name} failed: {last.removeprefix('error: ')}")
    return json.loads(done.stdout) | {"process_s": seconds}


def machine_words(machine: Mapping[str, str] | None = None) -> str:
    """The machine in one line, for a table's notes; by default this one."""
    words = {"cores": "{} cores", "memory": "{} of memory", "python": "Python {}", "numpy": "NumPy {}"}
    words |= {"torch": "PyTorch {}", "threads": "{} threads"}
    return ", ".join(words.get(key, "{}").format(value) for key, value in (machine or describe_machine()).items())
