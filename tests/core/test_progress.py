"""Progress bars are drawn where somebody sees them."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EPOCH = "from lib.core.progress import show_progress; print(sum(show_progress(range(5), 5, 'epoch 1')))"
LAUNCHED = f"import sys; from lib.core.launch import run_processes; run_processes([sys.executable, '-c', {EPOCH!r}])"


@pytest.mark.parametrize("code", [EPOCH, LAUNCHED])
def test_bar_is_shown_on_a_terminal_and_not_in_a_file(code):
    quiet = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (quiet.stdout, quiet.stderr) == ("10\n", "")
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=there, text=True)
    os.close(there)
    shown = b""
    with suppress(OSError):  # the terminal is closed with the last process that has it
        while part := os.read(here, 10000):
            shown += part
    os.close(here)
    assert process.communicate()[0] == "10\n"
    assert b"\repoch 1:" in shown and b"/5 [" in shown
