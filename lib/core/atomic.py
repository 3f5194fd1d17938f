"""Writing files and folders so that they exist only when they are complete."""

import hashlib
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError
from .process import is_running

_written: set[Path] = set()  # temporary paths that this process is writing
_SCRATCH = "new"  # inside a folder that is being filled
_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
_TEMPORARY = re.compile(r"\.(?P<target>.+)\.(?:(?P<machine>[0-9a-f]{6})-)?(?P<process>\d+)\.tmp(?:\.\w+)?")
_ABANDONED = 24 * 3600  # seconds without a change, after which nobody writes a temporary file any more


@contextmanager
def make_folder(folder: str | Path) -> Iterator[None]:
    """Make a folder and those above it where they are missing. On any failure of the block those that were made here
    and are empty are removed."""
    folder = Path(folder)
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for one in missing:  # the innermost first
            with suppress(OSError):
                one.rmdir()
        raise


def check_no_folder(*paths: Path) -> None:
    """Raise InputError where a folder has the name of a file that is to be written."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            raise InputError(f"{path}: is a folder, but a file is to get this name; rename it or move it away")


@contextmanager
def write_atomically(path: str | Path, suffix: str = "") -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it over `path` on success, remove it on any failure.

    The old file stays intact until the new one is complete and on disk, whatever interrupts the write
    (full disk, Ctrl-C, a crash). Missing folders are created. suffix: of the temporary path, for writers that need one.
    What killed processes left of earlier attempts at the same path is removed. Raises InputError where `path` is a
    folder.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "boxes.txt"
    >>> with write_atomically(target) as temporary:
    ...     _ = temporary.write_text("1\\t2\\t3\\t4\\n")
    >>> target.read_text()
    '1\\t2\\t3\\t4\\n'
    """
    path = Path(path)
    check_no_folder(path)
    with make_folder(path.parent):
        remove_leftovers(path)
        temporary = _temporary(path, suffix)
        _written.add(temporary)
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:  # the user knows nothing of the temporary file
            if error.filename is None or str(temporary) in (error.filename, error.filename2):
                error.filename, error.filename2 = str(path), None
            raise
        finally:
            temporary.unlink(missing_ok=True)
            _written.discard(temporary)


@contextmanager
def scratch_folder(path: str | Path, shown: str | Path = "") -> Iterator[Path]:
    """Yield a new temporary folder beside `path`, which is removed at the end unless it was renamed.

    Missing folders are created. What killed processes left of earlier attempts at the same path is removed. Errors name
    `shown`, which is `path` unless given, since the user knows nothing of the temporary folder.
    """
    path = Path(path)
    known = str(shown or path)
    with make_folder(path.parent):
        remove_leftovers(path)
        scratch = _temporary(path)
        scratch.mkdir()
        _written.add(scratch)
        try:
            yield scratch
        except OSError as error:
            error.filename, error.filename2 = str(error.filename or known).replace(str(scratch), known), None
            raise
        except InputError as error:
            raise InputError(str(error).replace(str(scratch), known)) from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            _written.discard(scratch)


@contextmanager
def fill_folder(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder inside `folder`. On success its files are moved into `folder`, in the order in which
    they were written, and replace files of the same names; on any failure they are removed. Raises InputError where a
    folder has the name of one of them."""
    folder = Path(folder)
    with scratch_folder(folder / _SCRATCH, folder) as scratch:
        yield scratch
        written = sorted(scratch.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        check_no_folder(*(folder / path.name for path in written if path.is_file()))
        for path in written:
            path.replace(folder / path.name)


def is_empty_folder(folder: Path) -> bool:
    """Whether a folder exists and holds nothing; what killed processes left of filling it is removed first."""
    if not folder.is_dir():
        return False
    remove_leftovers(folder / _SCRATCH)
    return next(folder.iterdir(), None) is None


def remove_leftovers(path: Path) -> None:
    """Remove temporary files and folders that processes which run no more have left beside `path`, for this path."""
    for temporary in temporary_paths(path):
        if _is_dead(temporary):
            _remove(temporary)


def temporary_paths(path: Path) -> list[Path]:
    """The temporary files and folders beside `path`, for this path, of any process."""
    with os.scandir(path.parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(f".{path.name}.")]
    found = [_TEMPORARY.fullmatch(name) for name in names]
    return [path.with_name(match[0]) for match in found if match is not None and match["target"] == path.name]


def _temporary(path: Path, suffix: str = "") -> Path:
    return path.with_name(f".{path.name}.{_MACHINE}-{os.getpid()}.tmp{suffix}")


def _is_dead(temporary: Path) -> bool:
    name = _TEMPORARY.fullmatch(temporary.name)
    assert name is not None
    number = int(name["process"])
    if name["machine"] == _MACHINE:
        if number == os.getpid():  # numbers are given again
            return temporary not in _written
        if not is_running(number):
            return True
    try:
        return time.time() - temporary.stat().st_mtime > _ABANDONED
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
