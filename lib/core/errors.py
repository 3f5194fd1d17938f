"""Errors about bad input, and how they end a program."""

import contextlib
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

_LONGEST = 2000  # signs of a message


class InputError(Exception):
    """Wrong input by the user: one line that names the file, the key, the value and the remedy.

    Signs that would break the line or command the terminal, in a file's name or content, are written as in Python; of
    a very long line the middle is left out.
    """

    def __init__(self, message: str):
        line = printable(message)
        super().__init__(line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}")


def printable(text: str) -> str:
    """`text` as one line for a terminal.

    >>> printable("a\\nb: grün")
    'a\\\\nb: grün'
    """
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


class Terminated(SystemExit):
    """The end of a program by SIGTERM or a lost terminal, as an exception, so that half-written files are removed."""


def run(main: Callable[[], None]) -> None:
    """Run an entry point. An InputError ends it with one line and exit status 1, Ctrl-C with status 130, SIGTERM with
    status 143.

    Errors of the operating system with a reason (disk full, permission denied) are treated as input errors; so is an
    output that cannot be written, such as a pipe or a full disk, also where it shows at the end only.
    """
    messages = prepare_output()
    raise_on_signals()
    try:
        main()
        sys.stdout.flush()
        if messages.lost is not None:
            raise messages.lost
    except InputError as error:
        _stop(f"error: {error}", 1)
    except OSError as error:
        if error.errno is None:
            raise
        where = error.filename or ("the standard output" if _drop_lost_output("\n") else "")
        _stop(f"error: {where}{': ' if where else ''}{error.strerror}", 1)
    except KeyboardInterrupt:
        _stop("interrupted: finished work is kept; run the same command again to continue", 130)
    except Terminated as end:
        _stop("terminated: finished work is kept; run the same command again to continue", int(end.code or 0))
    except SystemExit as end:
        if not end.code and _drop_lost_output():
            _stop("error: the standard output cannot be written", 1)
        raise


class Messages(logging.StreamHandler):
    """Log messages on the standard output; `lost` is the error where one could not be written."""

    lost: OSError | None = None

    def handleError(self, record: logging.LogRecord) -> None:
        """Called by logging, which would print a traceback and go on."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self.lost = error
        else:
            super().handleError(record)


def prepare_output() -> Messages:
    """Let log messages go to the standard output, and signs that a terminal cannot show appear as in Python."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    messages = Messages(sys.stdout)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[messages])
    return messages


def _drop_lost_output(probe: str = "") -> bool:
    """Whether the standard output, and `probe` on it, cannot be written. Python would say so with a traceback when it
    ends."""
    try:
        sys.stdout.write(probe)
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def raise_on_signals() -> None:
    """From now on SIGTERM, and the loss of the terminal unless it is ignored (nohup), raise `Terminated`."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
            signal.signal(signal.SIGHUP, _terminate)


def _terminate(number: int, _: Any) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the removal of half-written files
    raise Terminated(128 + number)


def _stop(message: str, status: int) -> None:
    _drop_lost_output()
    print(f"\n{message}" if sys.stderr.isatty() else message, file=sys.stderr)
    raise SystemExit(status)
