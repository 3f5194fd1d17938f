"""Messages for the visitors of the browser app: those that are logged, without the folders of the server."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: The folders of an absolute path, not those of an address such as https://example.org/a
FOLDERS = re.compile(r"(?<![\w:/.])/(?:[^\s/:]+/)+")


class _LineCollector(logging.Handler):
    """Keeps the messages that are logged by the thread that made it; other threads serve other visitors."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.thread:
            self.lines.append(record.getMessage())


@contextmanager
def collected_messages() -> Iterator[list[str]]:
    """A list that receives what lib logs in this thread while the context is open."""
    collector, logger = _LineCollector(), logging.getLogger(__name__.partition(".")[0])
    logger.addHandler(collector)
    try:
        yield collector.lines
    finally:
        logger.removeHandler(collector)


def shorten(text: str, *paths: str | None) -> str:
    """A message without the folders of the server: those of `paths`, whose names may hold blanks, and all others.

    >>> shorten("/srv/a/b.mp4: see https://example.org/c/d")
    'b.mp4: see https://example.org/c/d'
    """
    for path in filter(None, paths):
        text = text.replace(str(path), Path(path).name)
    return FOLDERS.sub("", text)
