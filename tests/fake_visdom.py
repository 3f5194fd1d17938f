"""A server that keeps what a visdom server would show."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeVisdom:
    """Answers as visdom does. `posts`: path and content of every request, in order."""

    def __init__(self, port: int = 0):
        self.posts: list[tuple[str, dict]] = []
        self.status, self.delay = 200, 0.0
        self.environments: set[str] = set()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(fake.delay)
                status = fake.status
                if self.path.startswith("/env/"):
                    fake.environments.add(content["eid"])
                elif self.path == "/update" and content["eid"] not in fake.environments:
                    status = 500  # as visdom has it
                fake.posts.append((self.path, content))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *request: None  # who asked did not wait for the answer
        self.connections: list[socket.socket] = []
        accept = self.server.get_request

        def keep():
            request, address = accept()
            self.connections.append(request)
            return request, address

        self.server.get_request = keep
        self.port = self.server.server_address[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """As a server that is killed: open connections end, too."""
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def windows(self) -> list[str]:
        """The windows in the order in which they were first shown."""
        return list(dict.fromkeys(content["win"] for _, content in self.posts if "win" in content))

    def of(self, window: str) -> list[dict]:
        """What was sent to a window."""
        return [content for _, content in self.posts if content.get("win") == window]

    def wait(self, count: int, seconds: float = 10.0) -> None:
        """Until that many posts have come."""
        end = time.monotonic() + seconds
        while len(self.posts) < count:
            assert time.monotonic() < end, f"{len(self.posts)} of {count} posts"
            time.sleep(0.01)


@contextmanager
def fake_visdom() -> Iterator[FakeVisdom]:
    fake = FakeVisdom()
    try:
        yield fake
    finally:
        fake.stop()


def unused_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
