"""A lock on a folder: one run at a time writes into it.

The system frees the lock when its process ends, however it ends, so a lock file that a killed run left stops nobody.
"""

import errno
import logging
import os
import platform
import shlex
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .atomic import make_folder
from .errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

_LONGEST = 300  # characters of a command in a message
_held: set[Path] = set()  # a process may lock the same file twice, so its own locks are kept here


@contextmanager
def hold(folder: str | Path, remedy: str, name: str = "") -> Iterator[None]:
    """Hold the lock of a folder, which is made where it is missing, and removed again where nothing is in it when the
    block fails; name: of what is locked, where it is not the whole folder. Where the system or the file system has no
    locks, one warning says so.

    Raises InputError, which names process and host and ends with the remedy, while another run holds it.
    """
    with make_folder(Path(folder).resolve()), _locked(folder, remedy, name):
        yield


@contextmanager
def _locked(folder: str | Path, remedy: str, name: str) -> Iterator[None]:
    if fcntl is None:
        log.warning("%s: this system has no locks on files; let no other run write here", folder)
        yield
        return
    path = Path(folder).resolve() / f".{name}{'.' if name else ''}lock"
    file = None if path in _held else _take(path)
    if file is None:
        holder = path.read_text(encoding="utf-8", errors="replace")[: 2 * _LONGEST].strip() if path.is_file() else ""
        raise InputError(f"{folder}: {holder or 'another run'} is writing here; wait for its end, or {remedy}")
    _held.add(path)
    try:
        yield
    finally:
        _held.discard(path)
        path.unlink(missing_ok=True)  # while it is locked: nobody else can have taken this file
        file.close()


def _take(path: Path) -> IO[str] | None:
    """The locked file, with a line about this process in it; None where another process holds it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)  # a run that failed may have removed it as empty
        try:
            file = _open(path)
        except FileNotFoundError:
            continue
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                file.close()
                return None
            log.warning("%s: cannot be locked (%s); let no other run write here", path.parent, error.strerror)
        if _is_at(path, file):
            break
        file.close()  # the run before removed this file after it was opened here
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:_LONGEST]
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()} (since {since}: {command})\n")
        file.flush()
    except OSError as error:  # a full disk
        path.unlink()
        error.filename = str(path)
        raise
    return file


def _open(path: Path) -> IO[str]:
    """A lock file, which is made where it is missing. Raises InputError for a link, whose target would be overwritten,
    and for what is no file."""
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR):
            raise
    else:
        if stat.S_ISREG(os.fstat(number).st_mode):
            return open(number, "r+", encoding="utf-8")
        os.close(number)
    raise InputError(f"{path}: is no plain file, so it cannot be the lock of a run; remove it")


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
