"""How long pages do not answer while something goes on."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERVAL = 0.5  # seconds between two requests


class AvailabilityProbe:
    """Requests each page continuously, in a thread per page."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls
        self._end = threading.Event()
        self._pool = ThreadPoolExecutor(len(urls), thread_name_prefix="probe")
        self._longest = dict.fromkeys(urls, 0.0)

    def start(self) -> None:
        """Start to ask each address, in a thread of its own."""
        for name, url in self._urls.items():
            self._pool.submit(self._probe, name, url)

    def stop(self) -> dict[str, float]:
        """The longest time without an answer of each page, in seconds."""
        self._end.set()
        self._pool.shutdown()
        return self._longest

    def _probe(self, name: str, url: str) -> None:
        answered = time.monotonic()
        with _client() as client:
            while not self._end.wait(INTERVAL):
                if _page(client, url) is not None:
                    answered = time.monotonic()
                self._longest[name] = max(self._longest[name], time.monotonic() - answered)


def get_page(url: str) -> str | None:
    """The text of a page; None without a successful answer."""
    with _client() as client:
        return _page(client, url)


def _client() -> httpx.Client:
    """One for many requests: to make it costs seven times as much as a request.

    Each request has a connection of its own, as a new visitor has.
    """
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(timeout=5, trust_env=False, limits=limits)


def _page(client: httpx.Client, url: str) -> str | None:
    try:
        answer = client.get(url)
    except httpx.HTTPError:
        return None
    return answer.text if answer.is_success else None
