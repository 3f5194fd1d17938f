"""The peak memory of this process. Uses only the standard library, since measurements in another Python need it too."""

import importlib
import re
import sys
from pathlib import Path


def peak_memory() -> float:
    """The peak memory of this process so far, MiB.

    On Linux, getrusage would include the memory of the process that started this one; /proc does not.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8")) if status.is_file() else None
    if found:
        return int(found[1]) / 1024
    peak = importlib.import_module("resource").getrusage(0).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
