"""How much memory this process has held. Needs the standard library alone: jobs in another Python use it too."""

import importlib
import re
import sys
from pathlib import Path


def peak_memory() -> float:
    """MiB that this process has held at most so far.

    Linux's getrusage counts what the process that started this one held; /proc does not.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8")) if status.is_file() else None
    if found:
        return int(found[1]) / 1024
    peak = importlib.import_module("resource").getrusage(0).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
