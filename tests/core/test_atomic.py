"""Files and folders that appear when they are complete, and what killed processes leave of them."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib.core import atomic
from lib.core.atomic import fill_folder, is_empty_folder, make_folder, scratch_folder, write_atomically
from lib.core.errors import InputError
from lib.core.process import is_running

ROOT = Path(__file__).parents[2]
KILLED = """
import os, signal, sys
from lib.core.atomic import fill_folder, scratch_folder, write_atomically
with write_atomically(sys.argv[1] + "/a.txt") as file, scratch_folder(sys.argv[1] + "/b") as folder:
    file.write_text("half"), (folder / "part").write_text("half")
    with fill_folder(sys.argv[1] + "/c") as scratch:
        (scratch / "part").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def killed(tmp_path):
    """A folder in which a process was killed while it wrote a file, a folder, and files into a third folder."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT)
    assert len(names(tmp_path)) == 3 and len(names(tmp_path / "c")) == 1
    return tmp_path


def test_the_next_run_removes_what_a_killed_one_left_of_the_same_target(killed):
    (killed / ".a.txt.bak").touch()
    with write_atomically(killed / "a") as temporary:  # another target, whose name begins alike
        temporary.touch()
    assert len(names(killed)) == 5
    with write_atomically(killed / "a.txt") as temporary:
        temporary.write_text("whole")
    with scratch_folder(killed / "b") as scratch:
        assert names(scratch) == []
    assert is_empty_folder(killed / "c")
    assert names(killed) == [".a.txt.bak", "a", "a.txt", "c"] and (killed / "a.txt").read_text() == "whole"


def test_what_a_living_process_writes_stays(tmp_path):
    alive = tmp_path / f".a.txt.{atomic._MACHINE}-{os.getppid()}.tmp"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    elsewhere = tmp_path / f".a.txt.000000-{ended.pid}.tmp"  # here no process has this number; there one may
    for path in (alive, elsewhere):
        path.touch()
    with write_atomically(tmp_path / "a.txt") as temporary:
        temporary.touch()
    assert names(tmp_path) == sorted([alive.name, elsewhere.name, "a.txt"])
    os.utime(elsewhere, (time.time() - 2 * 86400,) * 2)  # of another machine, and unchanged for two days
    with write_atomically(tmp_path / "a.txt") as temporary:
        temporary.touch()
    assert names(tmp_path) == sorted([alive.name, "a.txt"])


def test_folder_is_filled_in_order_and_only_when_all_is_done(tmp_path, monkeypatch):
    moved, replace = [], Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, target: moved.append(path.name) or replace(path, target))
    with fill_folder(tmp_path / "c") as scratch:
        for name in ("z", "a"):
            (scratch / name).write_text(name)
            time.sleep(0.01)
        assert not is_empty_folder(tmp_path / "c"), "another run must not take it"
    assert names(tmp_path / "c") == ["a", "z"] and moved == ["z", "a"]
    with pytest.raises(KeyboardInterrupt), fill_folder(tmp_path / "c") as scratch:
        (scratch / "z").write_text("new")
        raise KeyboardInterrupt
    assert names(tmp_path / "c") == ["a", "z"] and (tmp_path / "c/z").read_text() == "z"


@pytest.mark.parametrize("named", [(), ("temporary",), ("source", None, "temporary")])
def test_error_of_the_disk_names_the_file_that_the_user_knows(tmp_path, named):
    with pytest.raises(OSError) as raised, write_atomically(tmp_path / "a.txt") as temporary:
        words = [str(temporary) if word == "temporary" else word for word in named]
        raise OSError(errno.ENOSPC, "No space left on device", *words)
    assert raised.value.filename == str(tmp_path / "a.txt") and raised.value.filename2 is None


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), OSError, InputError])
def test_errors_in_a_temporary_folder_name_the_one_that_the_user_knows(tmp_path, error):
    for make, known in ((fill_folder, tmp_path / "out"), (scratch_folder, tmp_path / "out")):
        with pytest.raises((OSError, InputError)) as raised, make(known) as scratch:
            if error is OSError:
                raise OSError(errno.ENOSPC, "full", str(scratch / "a.mp4"))
            raise InputError(f"{scratch / 'a.mp4'}: not whole") if error is InputError else error
        found = getattr(raised.value, "filename", str(raised.value).partition(":")[0])
        assert found == str(known / "a.mp4" if isinstance(error, type) else known)


def test_process_that_has_ended_does_not_run():
    process = subprocess.Popen([sys.executable, "-c", ""])
    until = time.monotonic() + 10
    while is_running(process.pid) and time.monotonic() < until:  # a zombie, since nobody has waited for it
        time.sleep(0.02)
    assert not is_running(process.pid) and is_running(os.getpid())
    process.wait()


def test_content_is_on_the_disk_before_the_file_gets_its_name(tmp_path, monkeypatch):
    steps = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(atomic.os, "fsync", lambda number: steps.append(os.fstat(number).st_ino) or sync(number))
    monkeypatch.setattr(atomic.os, "replace", lambda old, new: steps.append(Path(new).name) or replace(old, new))
    with write_atomically(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
        number = temporary.stat().st_ino
    assert steps == [number, "a.txt"]


def test_two_processes_write_one_file_without_a_common_temporary(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    with write_atomically(path) as first:
        first.write_text("first")
        monkeypatch.setattr(atomic.os, "getpid", os.getppid)
        with write_atomically(path) as second:
            assert first != second and first.read_text() == "first"
            second.write_text("second")
        monkeypatch.undo()
        assert path.read_text() == "second" and first.exists()
    assert path.read_text() == "first"


@pytest.mark.parametrize("write", [write_atomically, scratch_folder, fill_folder, make_folder])
def test_folders_that_a_failed_writer_made_are_removed(tmp_path, write):
    (tmp_path / "old").mkdir()
    for target in ("new/inner/a", "old/inner/a"):
        with pytest.raises(KeyboardInterrupt), write(tmp_path / target):
            raise KeyboardInterrupt
    assert [path.relative_to(tmp_path).name for path in tmp_path.rglob("*")] == ["old"]
    with pytest.raises(KeyboardInterrupt), write(tmp_path / "new/inner/a"):
        (tmp_path / "new" / "kept").touch()
        raise KeyboardInterrupt
    assert names(tmp_path / "new") == ["kept"]


def test_a_folder_in_the_place_of_a_file_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(InputError, match="a.txt: is a folder, but a file is to"), write_atomically(tmp_path / "a.txt"):
        raise AssertionError("is not reached")
    with pytest.raises(InputError, match="a.txt: is a folder"), fill_folder(tmp_path) as scratch:
        (scratch / "0.txt").touch()
        (scratch / "a.txt").touch()
    assert names(tmp_path) == ["a.txt"]
