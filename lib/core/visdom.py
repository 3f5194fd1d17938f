"""Windows of a visdom server: curves, pictures and score maps of a run that goes on in any case.

A thread of its own sends, so that nothing waits for the server: what does not fit into a short queue is left out, and a
server that does not answer is named once. It is tried again later, without a word until it answers. The protocol is
that of visdom 0.2 (https://github.com/fossasia/visdom): JSON by POST.
"""

import base64
import contextlib
import http.client
import json
import logging
import math
import queue
import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from .errors import InputError, printable

log = logging.getLogger(__name__)

PORT = 8097  # visdom's own default
DEFAULT_SERVER = f"localhost:{PORT}"
TIMEOUT = 2.0  # seconds for an answer
RETRY = 30.0  # seconds until a server that did not answer is tried again
WAITING = 256  # messages; a step of training is about ten
QUALITY = 85  # of JPEG pictures
BINS = 30  # of a histogram
LONGEST_ANSWER = 1 << 16  # bytes; visdom answers with the name of the window

Message = Callable[[], tuple[str, dict[str, Any]]]  # where to and what; called in the thread that sends


class Visdom:
    """The windows of one environment on a server. No method waits or raises once the object is made."""

    def __init__(
        self, address: str, env: str, *, timeout: float = TIMEOUT, retry: float = RETRY, waiting: int = WAITING
    ):
        """address: HOST:PORT; env: the name under which the server lists the windows, where other signs than letters,
        digits, `_`, `.` and `-` become `_`. Raises InputError for an address that is none."""
        self.host, self.port = parse_server(address)
        self.address, self.env = f"{self.host}:{self.port}", re.sub(r"[^\w.-]", "_", env, flags=re.ASCII)
        self.left_out = 0  # messages that found no room
        self._timeout, self._retry = timeout, retry
        self._connection: http.client.HTTPConnection | None = None
        self._down, self._next_try = False, 0.0
        self._messages: queue.Queue[Message | None] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._send_all, name="visdom", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether everything has been sent and the server answers, as far as known: who shows many pictures asks."""
        return self._messages.unfinished_tasks == 0 and time.monotonic() >= self._next_try

    def add_point(self, window: str, trace: str, x: float, y: float) -> None:
        """Add a point to a curve of a window. A value that is not finite is left out, since browsers read none."""
        if not math.isfinite(y):
            return
        point = {"x": [x], "y": [y], "name": trace, "type": "scatter", "mode": "lines"}
        layout = {"title": window, "showlegend": True, "xaxis": {"title": "step"}}
        content = {"name": trace, "append": True, "data": [point], "layout": layout, "opts": {"title": window}}
        self._put(lambda: ("update", {"win": window, **content}))

    def show_image(self, window: str, pixels: Callable[[], np.ndarray], caption: str = "") -> None:
        """Show a picture. pixels: makes it, [H, W, 3] uint8 RGB; called in the thread that sends."""

        def make() -> tuple[str, dict[str, Any]]:
            _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(pixels()[..., ::-1]), (1, QUALITY))
            source = "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
            data = [{"type": "image", "content": {"src": source, "caption": caption}}]
            return "events", {"win": window, "data": data, "opts": {"title": window}}

        self._put(make)

    def show_map(self, window: str, values: np.ndarray) -> None:
        """Show values [n, n] in [0, 1] as colours, the first row at the top."""

        def make() -> tuple[str, dict[str, Any]]:
            rows = np.round(np.nan_to_num(values.astype(np.float64)), 4).tolist()
            data = [{"type": "heatmap", "z": rows, "zmin": 0, "zmax": 1, "colorscale": "Viridis"}]
            axes = {"xaxis": {"constrain": "domain"}, "yaxis": {"autorange": "reversed", "scaleanchor": "x"}}
            return "events", {"win": window, "data": data, "layout": {"title": window, **axes}}

        self._put(make)

    def show_histogram(self, window: str, values: np.ndarray, caption: str = "") -> None:
        """Show how often values of any shape occur; those that are not finite are left out."""
        finite = values[np.isfinite(values)]

        def make() -> tuple[str, dict[str, Any]]:
            counts, edges = np.histogram(finite, BINS)
            middles = ((edges[1:] + edges[:-1]) / 2).tolist()
            data = [{"type": "bar", "x": middles, "y": counts.tolist(), "name": caption}]
            return "events", {"win": window, "data": data, "layout": {"title": f"{window}, {caption}", "bargap": 0}}

        self._put(make)

    def show_text(self, window: str, text: str) -> None:
        """Show lines of plain text."""
        safe = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")
        content = {"data": [{"type": "text", "content": safe}], "opts": {"title": window}}
        self._put(lambda: ("events", {"win": window, **content}))

    def close(self, seconds: float = 2 * TIMEOUT) -> None:
        """Send what waits, for at most this time."""
        end = time.monotonic() + seconds
        with contextlib.suppress(queue.Full):
            self._messages.put(None, timeout=seconds)
        self._thread.join(max(0.0, end - time.monotonic()))
        if self.left_out:
            log.warning("visdom %s: is slower than the run; %d updates were left out", self.address, self.left_out)

    def _put(self, message: Message) -> None:
        try:
            self._messages.put_nowait(message)
        except queue.Full:
            self.left_out += 1

    def _send_all(self) -> None:
        """The thread: sends one message after the other until there is None."""
        while (message := self._messages.get()) is not None:
            if time.monotonic() >= self._next_try:
                self._send(*message())
            self._messages.task_done()
        self._drop_connection()

    def _send(self, where: str, content: dict[str, Any]) -> None:
        """Send one message, twice where the server has closed the connection or begun anew since the last one."""
        for kept in (self._connection is not None, False):
            try:
                self._post(where, content)
            except (OSError, http.client.HTTPException) as error:
                self._drop_connection()
                if not kept:
                    self._note_failure(error)
                    return
            else:
                if self._down:
                    log.warning("visdom %s: answers again", self.address)
                self._down, self._next_try = False, 0.0
                return

    def _post(self, where: str, content: dict[str, Any]) -> None:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.host, self.port, timeout=self._timeout)
            self._request(f"env/{self.env}", {})  # a curve is only added to an environment that exists
        self._request(where, content)

    def _request(self, where: str, content: dict[str, Any]) -> None:
        assert self._connection is not None
        body = json.dumps({"eid": self.env, **content}).encode()
        self._connection.request("POST", f"/{where}", body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        rest = len(answer.read(LONGEST_ANSWER)) == LONGEST_ANSWER
        if answer.status != http.client.OK or rest:
            raise http.client.HTTPException(f"status {answer.status}; is this a visdom server without a login?")

    def _note_failure(self, error: Exception) -> None:
        self._next_try = time.monotonic() + self._retry
        if not self._down:
            reason = f"no answer within {self._timeout:g} s" if isinstance(error, TimeoutError) else _words(error)
            log.warning(
                "visdom %s: %s; the run goes on without it (start a server with python -m visdom.server -port %d)",
                *(self.address, reason, self.port),
            )
        self._down = True

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def parse_server(address: str) -> tuple[str, int]:
    """Host and port of HOST:PORT, HOST or http://HOST:PORT. Raises InputError for anything else.

    >>> parse_server("gpu1:9000"), parse_server("http://gpu1/")
    (('gpu1', 9000), ('gpu1', 8097))
    """
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        host, port = parts.hostname, PORT if parts.port is None else parts.port
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if not host or not port or parts.scheme != "http" or parts.path.strip("/") or parts.query or parts.username:
        raise InputError(f"--visdom {address}: expected HOST:PORT, for example {DEFAULT_SERVER}")
    return host, port


def _words(error: Exception) -> str:
    """One line about an error."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or repr(error)
    return printable(text)
