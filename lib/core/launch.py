"""Starting torchrun for training and for tracking: the options for processes and machines, the exit status, and
explanations where machines do not find each other."""

import argparse
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence

from .errors import InputError
from .paths import PACKAGE
from .process import PARENT, TERMINAL

#: torchrun in a process that ends when the launcher does; `end_with_parent` does the same for the processes below it.
_TORCHRUN = f"""import os, sys
sys.path.insert(0, {str(PACKAGE.parent)!r})
from {__package__}.process import PARENT, end_with_parent
end_with_parent()
os.environ[PARENT] = str(os.getpid())
from torch.distributed.run import main
main()"""
LAST_PORT = 65535
_REFUSAL = "error: "  # beginning of the last line of a process that ends with an InputError
#: What torchrun prints after its traceback when machines do not find each other -> the remedy.
_REASONS = (
    (
        re.compile(r"EADDRINUSE|[Aa]ddress already in use"),
        "--port: another program uses it on this machine; give another --port to all machines",
    ),
    (
        re.compile(r"waiting for clients|RendezvousTimeoutError"),
        "--world_size: not all machines joined in time; start the command on each of them, each with its own --rank",
    ),
    (
        re.compile(r"RendezvousConnectionError|DistNetworkError: The client socket"),
        "--ip, --port: machine 0 does not answer; start it with --rank 0, and check address, port and firewall",
    ),
)


def add_launch_arguments(parser: argparse.ArgumentParser, again: str) -> None:
    """Add `--mode` and the options that belong to it; again: words for the help text, from where processes continue
    after a restart."""
    parser.add_argument("--mode", choices=("single", "multiple", "multi_node"), default="single")
    parser.add_argument("--nproc_per_node", type=int, default=1, metavar="N", help="processes (GPUs) on this machine")
    parser.add_argument(
        "--world_size", "--world-size", "--nnodes", type=int, default=1, metavar="N", help="multi_node: machines"
    )
    parser.add_argument("--rank", type=int, default=0, metavar="K", help="multi_node: number of this machine, from 0")
    parser.add_argument("--ip", default="127.0.0.1", help="multi_node: address of machine 0")
    parser.add_argument("--port", type=int, default=20000, help="multi_node: free port of machine 0")
    parser.add_argument("--wait", type=int, default=900, metavar="S", help="multi_node: seconds to wait for the others")
    parser.add_argument(
        "--max_restarts", type=int, default=0, metavar="N",
        help=f"when a process dies, restart all processes up to N times; they continue {again}",
    )  # fmt: skip


def is_launcher(args: argparse.Namespace) -> bool:
    """Whether this process has to start torchrun: the mode needs it, and torchrun did not start this process. Raises
    InputError for options that no mode, or not this one, can follow."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return False
    _check(args)
    return args.mode != "single"


def _check(args: argparse.Namespace) -> None:
    for name, least in (("nproc_per_node", 1), ("world_size", 1), ("rank", 0), ("wait", 1), ("max_restarts", 0)):
        if getattr(args, name) < least:
            raise InputError(f"--{name} {getattr(args, name)}: expected {least} or more")
    if not 1 <= args.port <= LAST_PORT:
        raise InputError(f"--port {args.port}: expected 1 to {LAST_PORT}")
    if args.mode == "single" and args.nproc_per_node > 1:
        raise InputError(f"--nproc_per_node {args.nproc_per_node}: several processes need --mode multiple")
    if args.mode != "multi_node" and args.world_size > 1:
        raise InputError(f"--world_size {args.world_size}: several machines need --mode multi_node")
    if args.rank >= args.world_size:
        raise InputError(f"--rank {args.rank}: the machines of --world_size {args.world_size} are numbered from 0")


def torchrun_command(args: argparse.Namespace, name: str, again: Sequence[str]) -> list[str]:
    """The torchrun command that runs a command once per process. name: of the run, the same on all machines; again: the
    command, without Python."""
    launcher = [sys.executable, "-c", _TORCHRUN, f"--nproc_per_node={args.nproc_per_node}"]
    launcher += [f"--max_restarts={args.max_restarts}"]
    if args.mode == "multiple":
        launcher += ["--standalone"]
    elif args.max_restarts:  # machines must be able to find each other again
        launcher += [f"--nnodes={args.world_size}", "--rdzv_backend=c10d", f"--rdzv_endpoint={args.ip}:{args.port}"]
        launcher += [f"--rdzv_id={name}"]
        launcher += [f"--rdzv_conf=is_host={int(args.rank == 0)},join_timeout={args.wait},read_timeout={args.wait}"]
    else:
        launcher += [f"--nnodes={args.world_size}", f"--node_rank={args.rank}"]
        launcher += [f"--master_addr={args.ip}", f"--master_port={args.port}", f"--rdzv_conf=timeout={args.wait}"]
    return [*launcher, *again]


def run_processes(command: Sequence[str]) -> int:
    """Run torchrun and pass on its output. After a failure, the last line repeats or explains the error of a process.

    Ctrl-C and SIGTERM are passed on, and raised here when all processes have ended. Returns torchrun's exit status; 128
    + signal number where a signal ended it, as in shells.
    """
    # Progress bars of the processes need to know what they cannot see through a pipe.
    size = shutil.get_terminal_size()
    seen = {TERMINAL: "1", "COLUMNS": str(size.columns), "LINES": str(size.lines)} if sys.stderr.isatty() else {}
    # Restarted processes would read the addresses of the dead ones from the store that torchrun shares.
    environment = {**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", PARENT: str(os.getpid()), **seen}
    # A session of its own: Ctrl-C in a terminal reaches torchrun once, from here; a second signal disturbs its ending.
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, start_new_session=True) as process:
        assert process.stderr is not None
        lines = io.TextIOWrapper(process.stderr, errors="replace", newline="")  # \r of progress bars stays as it is
        try:
            reason = _pass_on(lines)
        except (KeyboardInterrupt, SystemExit) as end:
            process.send_signal(signal.SIGINT if isinstance(end, KeyboardInterrupt) else signal.SIGTERM)
            lines.read()  # torchrun's traceback, and what each process says of its end, is said once by this process
            raise
    status = process.returncode
    if status and reason:
        sys.stderr.write(f"{_REFUSAL}{reason}\n")
    return status if status >= 0 else 128 - status


def _pass_on(lines: io.TextIOWrapper) -> str:
    """Write the lines to standard error; returns the last explanation among them."""
    reason = ""
    for line in lines:
        sys.stderr.write(line)
        sys.stderr.flush()
        reason = explain(line) or reason
    return reason


def explain(line: str) -> str:
    """The remedy for an error line of torchrun or of a process; empty for any other line."""
    if line.startswith(_REFUSAL):
        return line.removeprefix(_REFUSAL).strip()
    return next((remedy for pattern, remedy in _REASONS if pattern.search(line)), "")
