"""What commands print: in any encoding, into a full disk, from another Python than that of install.sh."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lib.cli.options import add_tracker
from lib.cli.parser import Parser
from lib.core.atomic import write_atomically
from lib.core.errors import InputError

ROOT = Path(__file__).parents[2]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def start(code, *, stdout=subprocess.PIPE, **environment):
    """`code` as the main function of a command, in another process."""
    program = f"import logging\nfrom lib.core.errors import InputError, run\ndef main():\n {code}\nrun(main)\n"
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE,
                          env={**os.environ, **environment}, check=False)  # fmt: skip


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("text", ["grün → ▲ 热", "name \\udcff of a file"])
def test_every_terminal_shows_every_text(encoding, text):
    done = start(f"print('{text}'); logging.info('{text}'); raise InputError('{text}')", PYTHONIOENCODING=encoding)
    assert done.returncode == 1 and b"Traceback" not in done.stderr and b"Logging error" not in done.stderr
    assert len(done.stdout.splitlines()) == 2 and done.stderr.startswith(b"error: ")


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "code", ["print('a')", "print('a' * 100_000)", "logging.info('a')", "print('a'); raise SystemExit(0)"]
)
def test_a_full_disk_behind_the_output_is_one_line_and_a_status(code, unbuffered):
    with FULL.open("w") as full:
        done = start(code, stdout=full, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1 and done.stderr.startswith(b"error: the standard output")
    assert len(done.stderr.splitlines()) == 1


@needs_full
def test_an_error_of_the_user_keeps_its_line_where_the_disk_is_full_too():
    with FULL.open("w") as full:
        done = start("print('a'); raise InputError('no such file')", stdout=full, PYTHONUNBUFFERED="")
    assert done.returncode == 1 and done.stderr == b"error: no such file\n"


@needs_full
def test_a_full_disk_is_named_by_the_file_that_was_to_be_written(tmp_path):
    with pytest.raises(OSError) as raised, write_atomically(tmp_path / "a.txt") as temporary:
        temporary.symlink_to(FULL)
        with open(temporary, "w") as file:
            file.write("a" * 100)
    assert raised.value.filename == str(tmp_path / "a.txt") and not list(tmp_path.iterdir())


def test_messages_are_one_line_that_commands_no_terminal():
    assert str(InputError("a\nb\x1b[2J\u2028\udcff.txt")) == "a\\nb\\x1b[2J\\u2028\\udcff.txt"
    assert len(str(InputError("a" * 10**6))) < 2100


@pytest.mark.parametrize("box", ["-5,3,20,30", "-.5,-3,20,30", "-5.5,-3e0,20,30"])
def test_a_negative_box_needs_no_equals_sign(box):
    parser = Parser("track", "About.", ["--box", box, "--box", "1,2,3,4", "iimf_track", "tiny", "--heat"])
    add_tracker(parser)
    parser.add_argument("--box", action="append")
    parser.add_argument("--heat", action="store_true")
    args = parser.read()
    assert args.box == [box, "1,2,3,4"] and (args.tracker, args.config, args.heat) == ("iimf_track", "tiny", True)


@pytest.mark.parametrize("there", [True, False])
def test_a_python_without_the_packages_is_told_what_to_type(tmp_path, there):
    for name in ("lib/core", "tracking"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("lib/__init__.py", "lib/core/__init__.py", "lib/core/interpreter.py", "lib/core/registry.py",
                 "lib/core/errors.py"):  # fmt: skip
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "lib" / "work.py").write_text("import no_such_package.part\n")
    script = "import sys\nsys.path.insert(0, '.')\nimport lib.work\n"
    for folder in ("tracking", "."):
        (tmp_path / folder / "x.py").write_text(script)
    if there:
        (tmp_path / ".venv").mkdir()
    done = subprocess.run([sys.executable, "tracking/x.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "has no package no_such_package" in done.stderr
    assert done.stderr.endswith("source .venv/bin/activate\n" if there else "bash install.sh\n")
    other = subprocess.run([sys.executable, "x.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" in other.stderr, "a program of the user's own gets Python's error"


@pytest.mark.parametrize("folder", ["tracking", "."])
def test_ctrl_c_while_a_script_loads_is_one_line_and_its_status(tmp_path, folder):
    for name in ("lib/core", "tracking"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("lib/__init__.py", "lib/core/__init__.py", "lib/core/interpreter.py", "lib/core/registry.py",
                 "lib/core/errors.py"):  # fmt: skip
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "lib" / "work.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    (tmp_path / folder / "x.py").write_text(
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.path.insert(0, '.')\nimport lib.work\n"
    )
    done = subprocess.run([sys.executable, f"{folder}/x.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in (-signal.SIGINT, 128 + signal.SIGINT)
    assert ("Traceback" in done.stderr) == (folder == ".")
    assert folder == "." or done.stderr == "interrupted while it was loading\n"
