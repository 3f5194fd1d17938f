"""Starting several processes: exit status, machines that do not find each other, and a process that dies."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import test_training as basics

from lib.cli import train
from lib.core.checkpoint import load_checkpoint
from lib.core.errors import InputError
from lib.core.launch import explain, is_launcher, run_processes
from lib.core.process import is_running

ROOT = Path(__file__).parents[2]
clone = basics.clone


@pytest.mark.parametrize(
    ("code", "status"), [("", 0), ("import sys; sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_exit_status_is_kept(code, status, capfd):
    assert run_processes([sys.executable, "-c", f"import sys; print('said', file=sys.stderr); {code}"]) == status
    assert capfd.readouterr().err == "said\n"


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("DistStoreError: Timed out after 5 seconds waiting for clients. 1/2 clients joined.", "--world_size:"),
        ("DistNetworkError: The client socket has timed out while trying to connect to (10.0.0.1, 1).", "--ip"),
        ("DistNetworkError: The server socket has failed to listen. port: 1, name: EADDRINUSE", "--port:"),
        ("rendezvous.api.RendezvousConnectionError: The connection to the C10d store has failed.", "--ip"),
        ("ValueError: loss", ""),
    ],
)
def test_what_torchrun_says_is_explained(line, option):
    assert explain(line).startswith(option) and bool(explain(line)) == bool(option)


def test_explanation_is_the_last_line_of_a_failure_alone(capfd):
    code = "import sys; print('x: EADDRINUSE', file=sys.stderr); sys.exit({})"
    run_processes([sys.executable, "-c", code.format(1)])
    assert capfd.readouterr().err.splitlines()[-1].startswith("error: --port: another program uses it")
    run_processes([sys.executable, "-c", code.format(0)])
    assert "error:" not in capfd.readouterr().err


def test_what_a_process_refuses_is_said_again_below_the_traceback(capfd):
    said = "error: a.pth: is not a whole checkpoint; copy it again"
    code = f"import sys; print({said!r}, file=sys.stderr); print('Traceback', file=sys.stderr); sys.exit(1)"
    assert run_processes([sys.executable, "-c", code]) == 1
    assert capfd.readouterr().err.splitlines() == [said, "Traceback", said]


def test_port_in_use_is_explained_by_the_command_itself(clone, tmp_path):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        more = ["--mode", "multi_node", "--world-size", "2", "--port", str(taken.getsockname()[1]), "--wait", "5"]
        process = basics.command(clone, tmp_path, *more)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith("error: --port: another program uses it on this machine"), err


#: A launcher, torchrun and a process of a run, as this toolbox starts them, without torch.
_FAMILY = """
import os, subprocess, sys, time
from lib.core import launch, process
from lib.core.errors import run
_, role = sys.argv
below = {"launcher": "torchrun", "torchrun": "worker"}.get(role)
command = [sys.executable, "-c", os.environ["FAMILY"], below]
process.end_with_parent()
if role == "launcher":
    run(lambda: sys.exit(launch.run_processes(command)))
elif role == "torchrun":
    os.environ[process.PARENT] = str(os.getpid())
    subprocess.Popen(command, start_new_session=True)
    time.sleep(60)
print(os.getppid(), os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    ("victim", "number", "status"),
    [("launcher", signal.SIGTERM, 143), ("launcher", signal.SIGINT, 130), ("launcher", signal.SIGHUP, 129),
     ("launcher", signal.SIGKILL, -9), ("torchrun", signal.SIGKILL, 137)],
)  # fmt: skip
def test_no_process_outlives_those_that_started_it(victim, number, status):
    family = subprocess.Popen(
        [sys.executable, "-c", _FAMILY, "launcher"], cwd=ROOT, env={**os.environ, "FAMILY": _FAMILY}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    torchrun, worker = map(int, family.stdout.readline().split())
    os.kill(family.pid if victim == "launcher" else torchrun, number)
    _, err = family.communicate(timeout=300)  # the pipes close when no process holds them any more
    assert family.returncode == status, err
    assert "Traceback" not in err
    until = time.monotonic() + 60
    while any(map(is_running, (torchrun, worker))) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_running, (torchrun, worker)))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_training_ends_with_its_launcher_and_goes_on(clone, tmp_path, number):
    more = ["--mode", "multiple", "--nproc_per_node", "2", "--set", "TRAIN.NUM_WORKER=1"]
    process = basics.command(clone, tmp_path, *more)
    for line in process.stdout:
        if "train epoch 2/3  step 1/2" in line:
            process.send_signal(number)
            break
    process.communicate(timeout=300)
    with pytest.raises(AssertionError, match="does not run"):
        second_rank(tmp_path)
    assert re.search(r"goes on after epoch [12]", basics.finish(basics.command(clone, tmp_path, *more)))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the process to kill in /proc")
def test_process_that_dies_is_started_again_and_the_run_ends_as_without(clone, tmp_path):
    more = ["--mode", "multiple", "--nproc_per_node", "2", "--set", "TRAIN.NUM_WORKER=0"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    said = basics.finish(basics.command(clone, whole, *more))
    assert said.count("trainingset: 2 sequences") == said.count("is a test set") == 1, "one process speaks for all"
    process = basics.command(clone, killed, "--max_restarts", "1", *more)
    for line in process.stdout:
        if "train epoch 2/3  step 1/2" in line:
            os.kill(second_rank(killed), signal.SIGKILL)
            break
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "goes on after epoch 1" in out
    file = "checkpoints/train/iimf_track/micro/IIMFTrack_ep0003.pth.tar"
    assert basics.same(load_checkpoint(whole / file)["net"], load_checkpoint(killed / file)["net"])


def second_rank(save_dir):
    """The number of the training process of rank 1 that writes to a folder."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, surroundings = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if str(save_dir).encode() in command and re.search(rb"(^|\0)RANK=1\0", surroundings):
            return int(folder.name)
    raise AssertionError("rank 1 does not run")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--mode multiple --nproc_per_node 0", "--nproc_per_node 0: expected 1 or more"),
        ("--mode multi_node --world_size 0", "--world_size 0: expected 1 or more"),
        ("--mode multi_node --world_size 2 --rank 2", "--rank 2: the machines of --world_size 2 are numbered from 0"),
        ("--mode multi_node --world_size 2 --rank -1", "--rank -1: expected 0 or more"),
        ("--mode multi_node --world_size 2 --port 99999", "--port 99999: expected 1 to 65535"),
        ("--mode multi_node --world_size 2 --wait 0", "--wait 0: expected 1 or more"),
        ("--mode multiple --max_restarts -1", "--max_restarts -1: expected 0 or more"),
        ("--nproc_per_node 4", "--nproc_per_node 4: several processes need --mode multiple"),
        ("--mode multiple --world_size 2", "--world_size 2: several machines need --mode multi_node"),
    ],
)
def test_processes_and_machines_that_cannot_be_are_refused(monkeypatch, words, message):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    args = train.make_parser(["iimf_track", "tiny", *words.split()]).read()
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        is_launcher(args)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")  # torchrun hands the options on as they are
    assert not is_launcher(args)


def test_usual_processes_and_machines(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    for words, expected in (("", False), ("--mode multiple --nproc_per_node 4", True),
                            ("--mode multi_node --world_size 2 --rank 1", True)):  # fmt: skip
        assert is_launcher(train.make_parser(["iimf_track", "tiny", *words.split()]).read()) is expected
