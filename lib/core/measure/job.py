"""A measurement in a separate process: job and answer are JSON on the standard streams."""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import torch

from ..errors import InputError
from ..process import PARENT, end_with_parent

MeasurementJob = dict[str, Any]


def answer_job(measure: Callable[[MeasurementJob], MeasurementJob]) -> None:
    """Read a job from standard input, run `measure`, write the answer to standard output.

    Other output goes to standard error. An InputError or a lack of GPU memory ends the process with one line and a
    non-zero exit status. `job["cache"]` is the folder for compiled code.
    """
    end_with_parent()
    os.environ.pop(PARENT, None)  # what this process starts has another parent
    job = json.load(sys.stdin)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = job["cache"]
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer = measure(job)
        except (InputError, torch.OutOfMemoryError) as error:
            sys.exit(f"error: {str(error).splitlines()[0]}")
    json.dump(answer, sys.stdout)
