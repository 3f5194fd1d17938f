"""The folder of the browser app: how much it holds, what is left over in it, and uploads that it has no room for."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

STALE = 600  # seconds; a file that nobody has written to or opened for so long is left over from an aborted upload
MEGABYTE = 1 << 20

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def held_bytes(folder: Path) -> int:
    """Size of all files below a folder; one with several names counts once."""
    sizes = {}
    for path in _files(folder):
        with suppress(FileNotFoundError):
            status = path.lstat()
            sizes[status.st_ino] = status.st_size
    return sum(sizes.values())


def remove_stale(folder: Path, prefix: str) -> None:
    """Remove the files below a folder that are older than STALE, but for those in sub-folders of this prefix."""
    for path in _files(folder):
        if path.relative_to(folder).parts[0].startswith(prefix):
            continue
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime < time.time() - STALE:
                remove_upload(path)


def remove_upload(path: Path) -> None:
    """Remove a file, and its folder where nothing else is in it."""
    path.unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()


class UploadLimit:
    """Passes requests on to a web application (ASGI), but for uploads that would fill its folder above a limit."""

    def __init__(self, app: App, folder: Path, max_megabytes: int):
        self.app, self.folder, self.max_megabytes = app, folder, max_megabytes
        self.under_way = 0  # bytes of uploads that are being received

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/upload"):
            await self.app(scope, receive, send)
            return
        size = dict(scope["headers"]).get(b"content-length", b"")
        if not size.isdigit():
            await _refuse(send, 411, "an upload must tell its length")
            return
        held = await asyncio.to_thread(held_bytes, self.folder)
        if held + self.under_way + int(size) > self.max_megabytes * MEGABYTE:
            text = f"the app has no room: all uploads and results together may have {self.max_megabytes} MB"
            await _refuse(send, 413, f"{text}; try again when other visitors have left")
            return
        self.under_way += int(size)
        try:
            await self.app(scope, receive, send)
        finally:
            self.under_way -= int(size)


async def _refuse(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def _files(folder: Path) -> Iterator[Path]:
    for inside, _, names in os.walk(folder):
        yield from (Path(inside, name) for name in names)
