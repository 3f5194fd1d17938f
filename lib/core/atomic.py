"""Writing files so that they exist only when they are complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_atomically(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it over `path` on success, remove it on any failure.

    The old file stays intact until the new one is complete and on disk, whatever interrupts the write
    (full disk, Ctrl-C, a crash). Missing folders are created.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "boxes.txt"
    >>> with write_atomically(target) as temporary:
    ...     _ = temporary.write_text("1\\t2\\t3\\t4\\n")
    >>> target.read_text()
    '1\\t2\\t3\\t4\\n'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
