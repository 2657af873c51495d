"""Servers of tests: a request handler answers on a free port while a block runs."""

from __future__ import annotations

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class SilentHandler(BaseHTTPRequestHandler):
    """What request handlers of tests share; writes no log."""

    def body(self) -> bytes:
        """What was sent with the request."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def respond(self, data: bytes = b"", status: int = 200, **headers: str) -> None:
        """Send a response; a header's name has `_` for `-`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def running(handler: Callable[..., Any], host: str = "127.0.0.1") -> Generator[int]:
    """Serve on a free port of an address; yields the port."""
    server = ThreadingHTTPServer((host, 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
