"""What all benchmarks share: alternating repetitions, measurements in separate processes, and the report."""

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
    """The result of a benchmark: tables for readers, and all measurements for JSON."""

    tables: list[Table]
    content: dict[str, Any]


def alternate(sides: Many[str], measure: Callable[[str, int], Record], *, repeats: int) -> dict[str, list[Record]]:
    """Measure several sides alternately: side -> one record of `measure(side, turn)` per repetition.

    Every second repetition has the reversed order, so that other load on the machine affects all sides.
    """
    records: dict[str, list[Record]] = {side: [] for side in sides}
    for turn in range(repeats):
        for side in sides if turn % 2 == 0 else reversed(sides):
            records[side].append(measure(side, turn))
    return records


def run_measurement(module: str, job: Mapping[str, Any], *, python: str = sys.executable, name: str) -> dict[str, Any]:
    """Run a measurement in a separate process: JSON in, JSON out, with `process_s`, the seconds from start to end.

    module: full name of the module that runs it; name: the measurement's name in messages. Raises InputError with the
    last line that the process printed when it fails, or when `python` cannot be started.
    """
    begin, command, environment = time.perf_counter(), measurement_command(module, python), measurement_environment()
    try:
        done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, env=environment)
    except OSError as error:
        raise InputError(f"--python {python}: cannot be started: {error.strerror}") from None
    seconds = time.perf_counter() - begin
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it printed no message"])[-1]
        raise InputError(f"{name} failed: {last.removeprefix('error: ')}")
    return json.loads(done.stdout) | {"process_s": seconds}


def measurement_command(module: str, python: str = sys.executable) -> list[str]:
    """The command that runs a module of lib, by its full name, under the name of its folder, for any Python."""
    return [python, "-m", f"{PACKAGE.name}.{module.partition('.')[2]}"]


def measurement_environment() -> dict[str, str]:
    """The environment in which `measurement_command` finds this package first."""
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def machine_words(machine: Mapping[str, str] | None = None) -> str:
    """A machine (default: this one) described in one line, for the notes of a table."""
    words = {"cores": "{} cores", "memory": "{} of memory", "python": "Python {}", "numpy": "NumPy {}"}
    words |= {"torch": "PyTorch {}", "threads": "{} threads"}
    return ", ".join(words.get(key, "{}").format(value) for key, value in (machine or describe_machine()).items())
