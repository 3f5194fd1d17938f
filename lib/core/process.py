"""Processes that belong together: whether one still runs, and ending with the process that started this one."""

import os
import signal
import threading
import time
from pathlib import Path

#: Environment variable with the number of the process whose children should end with it.
PARENT = "RGBT_PARENT"

#: Environment variable of a process whose standard error a launcher passes on to a terminal.
TERMINAL = "RGBT_TERMINAL"

_PAUSE = 0.5  # seconds between two looks at the parent
_GRACE = 10.0  # seconds for removing half-written files, also where the main thread waits for another process


def is_running(number: int) -> bool:
    """Whether a process of this machine runs. Where that cannot be known, it does."""
    if os.name != "posix":
        return True
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    try:  # one that has ended and whose parent has not noticed yet
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def end_with_parent(parent: int | None = None) -> None:
    """End this process when its parent ends, however that happens, also by SIGKILL.

    parent: number of the process that started this one; by default the one that `PARENT` names, if any does.
    """
    parent = int(os.environ.get(PARENT, "0")) if parent is None else parent
    if parent and os.name == "posix":
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PAUSE)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(128 + signal.SIGTERM)
