"""How a program ends: exit status and the one line that it leaves."""

import errno
import os

import pytest

from lib.core.errors import InputError, Terminated, run


def raise_it(error):
    raise error


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("a.yaml: TEST.X: 3 is not allowed"), 1, "error: a.yaml: TEST.X: 3 is not allowed\n"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.txt"), 1, "error: a.txt: No space left on device\n"),
        (KeyboardInterrupt(), 130, "interrupted: finished work is kept; run the same command again to continue\n"),
        (Terminated(143), 143, "terminated: finished work is kept; run the same command again to continue\n"),
    ],
)
def test_exit_status_and_words(monkeypatch, capsys, error, status, said):
    monkeypatch.setattr("lib.core.errors.raise_on_signals", lambda: None)
    with pytest.raises(SystemExit) as stopped:
        run(lambda: raise_it(error))
    assert stopped.value.code == status and capsys.readouterr().err == said


def test_an_error_of_this_program_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("lib.core.errors.raise_on_signals", lambda: None)
    for error in (ValueError("a slip"), OSError("of a library")):
        with pytest.raises(type(error)):
            run(lambda error=error: raise_it(error))
