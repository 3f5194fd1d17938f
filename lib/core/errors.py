"""Errors about bad input, and how they end a program."""

import logging
import sys
from collections.abc import Callable


class InputError(Exception):
    """Bad input from outside: one line that names the file, the key, the value and the remedy."""


def run(main: Callable[[], None]) -> None:
    """Run an entry point: bad input ends in one clear line and exit status 1, Ctrl-C in 130.

    Errors of the operating system that name what failed (disk full, permission denied) are input errors too.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        main()
    except InputError as error:
        _stop(f"error: {error}", 1)
    except OSError as error:
        if error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _stop(f"error: {where}{error.strerror}", 1)
    except KeyboardInterrupt:
        _stop("interrupted: finished work is kept; run the same command again to continue", 130)


def _stop(message: str, status: int) -> None:
    print(f"\n{message}" if sys.stderr.isatty() else message, file=sys.stderr)
    raise SystemExit(status)
