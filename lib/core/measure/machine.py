"""On what a figure was measured, and with which code."""

import os
import platform
import re
import subprocess
from pathlib import Path

import numpy as np

from ..paths import ROOT


def describe_machine() -> dict[str, str]:
    """Processor, usable cores, memory, system, and the versions that decide speed."""
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
    """The state of the code, as git names it ("-dirty" where files differ from it); "unknown" outside git."""
    if not (ROOT / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--tags"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _first(pattern: str, path: Path) -> str:
    """The first match's group in a file of the system; empty where there is none."""
    found = re.search(pattern, path.read_text(encoding="utf-8")) if path.is_file() else None
    return found[1].strip() if found else ""
