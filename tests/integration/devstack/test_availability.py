"""How long a page did not answer, as a visitor with a new connection each time finds it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tests.support.http_servers import SilentHandler, running

from devstack import availability
from devstack.availability import AvailabilityProbe, get_page

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest

DEADLINE = 60.0
REQUESTS = 5


@dataclass
class Page:
    """What is answered, and what has been asked."""

    url: str = ""
    status: HTTPStatus = HTTPStatus.OK
    connections: int = 0
    requests: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def wait_for(self, requests: int) -> None:
        """Until so many more requests have been answered."""
        for _ in range(requests):
            assert self.requests.acquire(timeout=DEADLINE), "nobody asks"


class Handler(SilentHandler):
    """One connection; it is kept, if the client keeps it."""

    protocol_version = "HTTP/1.1"

    def __init__(self, page: Page, *connection: Any) -> None:
        self.page = page
        page.connections += 1
        super().__init__(*connection)

    def do_GET(self) -> None:
        """The status of the moment."""
        self.respond(b"hello", self.page.status)
        self.page.requests.release()


@contextmanager
def serving() -> Generator[Page]:
    page = Page()
    with running(partial(Handler, page)) as port:
        page.url = f"http://127.0.0.1:{port}/"
        yield page


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
