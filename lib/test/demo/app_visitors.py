"""The visitors of the browser app. Each has its own session and its own copies of what it uploaded."""

import os
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from ...core.errors import InputError
from .app_session import FOLDER_PREFIX, Session
from .app_uploads import remove_stale, remove_upload

HOUR = 3600


@dataclass
class Visitor:
    """A visitor: the session and the uploads."""

    session: Session
    owned: dict[str, Path] = field(default_factory=dict)  # path of an upload -> this visitor's own name for that file
    last_used: float = field(default_factory=time.monotonic)

    def own(self, upload: str | None) -> str | None:
        """A file of this visitor with the content of an upload, whose path visitors with equal files share.

        Raises InputError for an upload that was removed.
        """
        if upload is None:
            return None
        if upload not in self.owned:
            path = Path(tempfile.mkdtemp(dir=self.session.folder)) / Path(upload).name
            try:
                _link(upload, path)
            except FileNotFoundError:
                raise InputError(f"{path.name}: is not on the server any more; drop the video again") from None
            self.owned[upload] = path
        return str(self.owned[upload])

    def keep_only(self, *uploads: str | None) -> None:
        """Remove the other uploads of this visitor."""
        for upload in set(self.owned) - set(uploads):
            own, shared = self.owned.pop(upload), Path(upload)
            if shared.exists() and os.path.samefile(own, shared):  # else another visitor has uploaded an equal file
                remove_upload(shared)
            remove_upload(own)

    def clear(self) -> None:
        """Remove the visitor's uploads and results; a run ends."""
        self.keep_only()
        self.session.close()


class Visitors:
    """All visitors. Those who close the page, or do not use it for an hour, are removed with their files.

    max_frames: of a video; folder: of uploads and sessions, in which files of aborted uploads are removed as well.
    """

    def __init__(self, max_frames: int, folder: Path):
        self.max_frames, self.folder = max_frames, folder
        self._visitors: dict[str, Visitor] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> Visitor:
        """The visitor of this name; a new one has a session without a video."""
        with self._lock:
            visitor = self._visitors.setdefault(name, Visitor(Session(self.max_frames)))
            visitor.last_used = time.monotonic()
            return visitor

    def leave(self, name: str) -> None:
        """The visitor closed the page."""
        with self._lock:
            visitor = self._visitors.pop(name, None)
        if visitor is not None:
            visitor.clear()

    def sweep(self) -> None:
        """Remove visitors who have left without a word, and files of aborted uploads."""
        long_ago = time.monotonic() - HOUR
        with self._lock:
            gone = [
                name
                for name, visitor in self._visitors.items()
                if visitor.last_used < long_ago and not visitor.session.running
            ]
        for name in gone:
            self.leave(name)
        remove_stale(self.folder, FOLDER_PREFIX)


def _link(source: str, target: Path) -> None:
    """A second name for a file; a copy where the file system has no such names."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(source, target)
