"""Does a broker answer? A fresh connection and one request, within a time limit.

An ISR and `fenced` say nothing of the last nine seconds, an open connection says nothing of a
machine that is off: it does not refuse, it answers nothing.
"""

from __future__ import annotations

import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

API_VERSIONS, VERSION, CORRELATION = 18, 0, 77
AT_ONCE = 16


def request() -> bytes:
    """ApiVersions: each broker answers it, before a client has proved who it is as well."""
    client = b"kafka-agent"
    head = struct.pack(">hhih", API_VERSIONS, VERSION, CORRELATION, len(client)) + client
    return struct.pack(">i", len(head)) + head


def silence(host: str, port: int, limit: float, context: ssl.SSLContext | None) -> str:
    """Why it does not answer; empty if it does."""
    end = time.monotonic() + limit
    try:
        with socket.create_connection((host, port), timeout=limit) as plain:
            plain.settimeout(max(end - time.monotonic(), 0.001))
            if context is None:
                return _ask(plain, end)
            with context.wrap_socket(plain, server_hostname=host) as tls:
                return _ask(tls, end)
    except TimeoutError:
        return f"no answer from {host}:{port} within {limit:g} s"
    except OSError as error:
        return f"{host}:{port}: {error.strerror or error}"


def _ask(connection: socket.socket, end: float) -> str:
    connection.sendall(request())
    answer = b""
    while len(answer) < 8:
        connection.settimeout(max(end - time.monotonic(), 0.001))
        part = connection.recv(8 - len(answer))
        if not part:
            return "it closed the connection without an answer"
        answer += part
    _, correlation = struct.unpack(">ii", answer)
    return "" if correlation == CORRELATION else "what answers there is no Kafka broker"


def silences(
    addresses: Iterable[tuple[int, str, int]], limit: float, context: ssl.SSLContext | None
) -> dict[int, str]:
    """All of them at the same time."""
    asked = list(addresses)
    if not asked:
        return {}
    with ThreadPoolExecutor(min(len(asked), AT_ONCE), "probe") as pool:
        found = pool.map(lambda one: silence(one[1], one[2], limit, context), asked)
        return {node: why for (node, _, _), why in zip(asked, found, strict=True)}
