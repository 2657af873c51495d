"""How long a page did not answer, as a visitor with a new connection each time finds it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from devstack import availability
from devstack.availability import AvailabilityProbe, get_page

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest

DEADLINE = 60.0
REQUESTS = 5


class Page(ThreadingHTTPServer):
    """Answers with `status`, and counts requests and connections."""

    daemon_threads = True
    status = HTTPStatus.OK
    connections = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = threading.Semaphore(0)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}/"

    def process_request(self, request: object, client_address: object) -> None:
        """One more connection."""
        self.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def wait_for(self, requests: int) -> None:
        """Until so many more requests have been answered."""
        for _ in range(requests):
            assert self.requests.acquire(timeout=DEADLINE), "nobody asks"


class Handler(BaseHTTPRequestHandler):
    """Keeps its connection, if the client does."""

    protocol_version = "HTTP/1.1"
    server: Page

    def do_GET(self) -> None:
        """The status of the moment."""
        self.send_response(self.server.status)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
        self.server.requests.release()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving() -> Generator[Page]:
    with Page() as page:
        thread = threading.Thread(target=page.serve_forever, daemon=True)
        thread.start()
        try:
            yield page
        finally:
            page.shutdown()
            thread.join(DEADLINE)


def test_the_longest_time_without_a_successful_answer_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(availability, "INTERVAL", 0.1)
    with serving() as page:
        probe = AvailabilityProbe({"web-1": page.url})
        probe.start()
        page.wait_for(2)
        page.status = HTTPStatus.SERVICE_UNAVAILABLE
        page.wait_for(REQUESTS + 1)  # the first may have been on its way
        page.status = HTTPStatus.OK
        page.wait_for(2)
        found = probe.stop()
        assert page.connections >= REQUESTS + 5, "each request has a connection of its own"
    assert list(found) == ["web-1"]
    assert found["web-1"] >= REQUESTS * 0.1


def test_a_page_without_a_successful_answer_has_no_text() -> None:
    with serving() as page:
        assert get_page(page.url) == "hello"
        page.status = HTTPStatus.NOT_FOUND
        assert get_page(page.url) is None
    assert get_page(page.url) is None, "nobody listens there any more"
