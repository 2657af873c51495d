"""Servers of tests: a request handler answers on a free port while a block runs."""

from __future__ import annotations

from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


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
