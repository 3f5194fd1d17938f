"""A measurement in a process of its own: job and answer are JSON on the standard streams."""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import torch

from ..errors import InputError

MeasurementJob = dict[str, Any]


def answer_job(measure: Callable[[MeasurementJob], MeasurementJob]) -> None:
    """Read a job, do it, write the answer. What it cannot do is one line and a non-zero exit status; what it says
    besides goes to the standard error. `job["cache"]` is the folder of compiled code."""
    job = json.load(sys.stdin)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = job["cache"]
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer = measure(job)
        except (InputError, torch.OutOfMemoryError) as error:
            sys.exit(f"error: {str(error).splitlines()[0]}")
    json.dump(answer, sys.stdout)
