"""One run at a time writes into a folder."""

import errno
import os
import platform
import signal
import subprocess
import sys

import pytest

from lib.core import lock
from lib.core.errors import InputError
from lib.core.lock import hold

HOLDER = """
import sys, time
from lib.core.lock import hold
with hold(sys.argv[1], "x", sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Starts a process that holds a lock in tmp_path, by the name given."""
    started = []

    def start(name=""):
        command = [sys.executable, "-c", HOLDER, str(tmp_path), name]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_run_is_told_who_writes(holder, tmp_path):
    process = holder()
    here = f"process {process.pid} on {platform.node()}"
    words = rf"{here} \(since .*\) is writing here; wait .*, or choose another --out"
    with pytest.raises(InputError, match=words) as one, hold(tmp_path, "choose another --out"):
        pass
    assert "\n" not in str(one.value)
    with hold(tmp_path, "", "other"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / ".lock").exists()  # of a dead process: stops nobody
    with hold(tmp_path, ""):
        (line,) = (tmp_path / ".lock").read_text().splitlines()  # the dead one's is gone
        assert line.startswith(f"process {os.getpid()} ")
    assert not list(tmp_path.iterdir())


def test_a_process_cannot_hold_a_lock_twice(tmp_path):
    for _ in range(2):
        with hold(tmp_path / "new", ""), pytest.raises(InputError, match="is writing here"):
            hold(tmp_path / "new" / ".." / "new", "").__enter__()
    with pytest.raises(KeyError), hold(tmp_path, ""):
        raise KeyError
    with hold(tmp_path, ""):
        pass


def test_a_child_does_not_keep_the_lock(tmp_path):
    with hold(tmp_path, ""):
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        with hold(tmp_path, ""):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_disk_without_locks_is_said(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "lockf", refuse)
    with hold(tmp_path, ""):
        assert "cannot be locked (No locks available); let no other run write here" in caplog.text


def test_a_system_without_locks_is_named(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(lock, "fcntl", None)
    with lock.hold(tmp_path, "wait"):
        pass
    assert caplog.messages == [f"{tmp_path}: this system has no locks on files; let no other run write here"]


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe"])
def test_a_lock_that_is_no_file_is_refused_and_nothing_behind_it_is_lost(tmp_path, kind):
    (tmp_path / "notes").write_text("years of work")
    path = tmp_path / "results" / ".lock"
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / ("notes" if kind == "link" else "nothing"))
    with pytest.raises(InputError, match=r"results/\.lock: is no plain file, .*; remove it"), hold(path.parent, ""):
        pass
    assert (tmp_path / "notes").read_text() == "years of work" and not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("left", [b"", b"\xff\x00" * 3000, b"process 1 on another-host (since 2020)\n"])
def test_whatever_a_dead_run_left_in_its_lock_stops_nobody(tmp_path, left):
    (tmp_path / ".lock").write_bytes(left)
    with hold(tmp_path, ""):
        (line,) = (tmp_path / ".lock").read_text().splitlines()
        assert line.startswith(f"process {os.getpid()} ")
    assert not list(tmp_path.iterdir())


class Full:
    """A file on a full disk."""

    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_named_and_leaves_no_lock(tmp_path, monkeypatch):
    plain = lock._open
    monkeypatch.setattr(lock, "_open", lambda path: Full(plain(path)))
    with pytest.raises(OSError) as raised, hold(tmp_path, ""):
        pass
    assert raised.value.filename == str(tmp_path / ".lock") and not list(tmp_path.iterdir())


def test_a_folder_that_a_failed_run_made_and_left_empty_is_removed(tmp_path):
    for name in ("", "other"):
        with pytest.raises(ValueError), hold(tmp_path / "a" / "b", "", name):
            raise ValueError
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError), hold(tmp_path / "a" / "b", ""):
        (tmp_path / "a" / "result").touch()
        raise ValueError
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["result"]
