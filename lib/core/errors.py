"""Errors about bad input, and how they end a program."""

import logging
import sys
from collections.abc import Callable


class InputError(Exception):
    """Wrong input by the user: one line that names the file, the key, the value and the remedy."""


def run(main: Callable[[], None]) -> None:
    """Run an entry point. An InputError ends it with one line and exit status 1, Ctrl-C with status 130.

    Errors of the operating system with a reason (disk full, permission denied) are treated as input errors.
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
