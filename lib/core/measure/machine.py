"""The machine and the state of the code of a measurement."""

import os
import platform
import re
import subprocess
from pathlib import Path

import numpy as np

from ..paths import ROOT


def describe_machine() -> dict[str, str]:
    """Processor, usable cores, memory, system, and the versions of Python and NumPy."""
    gigabytes = _first(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo"))
    return {
        "processor": _first(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo")) or platform.processor() or "unknown",
        "cores": str(usable_cores()),
        "memory": f"{int(gigabytes) / 2**20:.0f} GiB" if gigabytes else "unknown",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_code() -> str:
    """The state of the code by `git describe` ("-dirty" where files were changed); "unknown" outside a repository."""
    if not (ROOT / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--tags"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _first(pattern: str, path: Path) -> str:
    """The group of a pattern's first match in a system file; empty where there is none."""
    found = re.search(pattern, path.read_text(encoding="utf-8")) if path.is_file() else None
    return found[1].strip() if found else ""
