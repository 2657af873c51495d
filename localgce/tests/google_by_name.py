"""A proxy that brings requests for compute.googleapis.com to a localgce.

For programs that ask Google by name whatever endpoint they are told. They find it by HTTPS_PROXY,
and believe its certificate by SSL_CERT_FILE.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trustme

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOGLE = "compute.googleapis.com"
_REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
_CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@contextmanager
def google_by_name(url: str, folder: Path) -> Iterator[dict[str, str]]:
    """Serve; yields the environment of the programs. `url` is the localgce's address."""
    authority = trustme.CA()
    certificate = folder / "authority.pem"
    authority.cert_pem.write_to_path(certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(GOOGLE).configure_cert(context)
    loop = asyncio.new_event_loop()
    proxy = _Proxy(urlsplit(url).netloc, context)
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield {"HTTPS_PROXY": f"http://127.0.0.1:{port}", "SSL_CERT_FILE": str(certificate)}
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(proxy.close())
        loop.close()


class _Proxy:
    """One HTTP request for each connection, which is enough for a test."""

    def __init__(self, target: str, context: ssl.SSLContext) -> None:
        self._target, self._context = target, context
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError):
            pass  # the client has gone
        finally:
            self._open.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if not asked.startswith(f"CONNECT {GOOGLE}:443 ".encode()):
            writer.write(_REFUSED)
            return
        writer.write(_CONNECTED)
        await writer.drain()
        await writer.start_tls(self._context)
        head = await reader.readuntil(b"\r\n\r\n")
        host, port = self._target.split(":")
        answers, requests = await asyncio.open_connection(host, int(port))
        requests.write(_addressed(head, self._target))
        while chunk := await answers.read(65536):
            writer.write(chunk)
            await writer.drain()
        requests.close()

    async def close(self) -> None:
        """End what is still open."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


def _addressed(head: bytes, host: str) -> bytes:
    """The head of a request without body for another host, the last of its connection."""
    first, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    left = [one for one in fields if one.partition(":")[0].lower() not in {"host", "connection"}]
    lines = (first, f"Host: {host}", "Connection: close", *left)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
