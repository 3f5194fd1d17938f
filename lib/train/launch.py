"""torchrun as it is started here: its exit status is kept, and machines that do not find each other are explained."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence

#: What torchrun says, after its traceback, where machines do not find each other -> what to do.
_REASONS = (
    (
        re.compile(r"EADDRINUSE|[Aa]ddress already in use"),
        "--port: another program uses it on this machine; give all machines another --port",
    ),
    (
        re.compile(r"waiting for clients|RendezvousTimeoutError"),
        "--world-size: not all machines came in time; start the command on each, with a --rank of its own",
    ),
    (
        re.compile(r"RendezvousConnectionError|DistNetworkError: The client socket"),
        "--ip, --port: machine 0 does not answer there; start it with --rank 0, and check address, port and firewall",
    ),
)


def run_processes(command: Sequence[str]) -> int:
    """Run torchrun, pass on all that it says, and explain a failed meeting in a last line.

    Returns its exit status, 128 + number where a signal ended it, as shells count.
    """
    reason = ""
    # Processes that start again would read the addresses of those that died from the store that torchrun shares.
    environment = {**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment) as process:
        for line in process.stderr or ():
            sys.stderr.write(line)
            reason = explain(line) or reason
    status = process.returncode
    if status and reason:
        sys.stderr.write(f"error: {reason}\n")
    return status if status >= 0 else 128 - status


def explain(line: str) -> str:
    """What to do about a line of torchrun; empty where it is about something else."""
    return next((remedy for pattern, remedy in _REASONS if pattern.search(line)), "")
