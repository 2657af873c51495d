"""The ASGI application: the API, the batch endpoint and further routes."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localgce.core.errors import ApiError
from localgce.http.batch import batch
from localgce.http.dispatcher import MAX_BODY, Answer, Dispatcher
from localgce.http.guard import check_headers, is_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

_PREFIX = "/compute/v1/"
_BATCH = ("/batch/compute/v1", "/batch")


class App:
    """Requests of the API go straight to the dispatcher, the few others to Starlette's router."""

    def __init__(self, dispatcher: Dispatcher[Any], routes: Sequence[Route]) -> None:
        """Serve the API, its batch endpoint and `routes`."""
        self.dispatcher = dispatcher
        self.others = Starlette(
            routes=[
                *routes,
                *(Route(path, self._batch, methods=["POST"]) for path in _BATCH),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self.others(scope, receive, send)
            return
        try:
            check_headers(
                scope["headers"],
                batch=scope["path"] in _BATCH,
                console=is_console(scope["method"], scope["path"]),
            )
        except ApiError as error:
            await _send(send, error.status, Answer(error.status, error.as_json()).encoded())
            return
        if not scope["path"].startswith(_PREFIX):
            await self.others(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            another = ApiError(413, "uploadTooLarge", "The request is too large.")
            answer = Answer(413, another.as_json())
        else:
            path = scope["path"].removeprefix(_PREFIX)
            query = scope["query_string"].decode("latin-1")
            agent = _header(scope, b"user-agent")
            answer = await self.dispatcher.answer(scope["method"], path, query, body, agent)
        if answer.fault:
            await _break(answer.fault, receive, send)
            return
        if scope["method"] == "GET" and answer.status == 200:
            await _send_tagged(scope, send, answer.encoded())
        else:
            await _send(send, answer.status, answer.encoded())

    async def _batch(self, request: Request) -> Response:
        try:
            return await batch(self.dispatcher, request)
        except ApiError as error:
            return JSONResponse(error.as_json(), error.status)


def _header(scope: Scope, wanted: bytes) -> str:
    value = next((value for name, value in scope["headers"] if name == wanted), b"")
    return str(value.decode("latin-1"))


async def _read(receive: Receive) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _send_tagged(scope: Scope, send: Send, body: bytes) -> None:
    """Send an ETag with what is read; answer 304 to a client that has that version."""
    tag = b'"%s"' % hashlib.blake2b(body, digest_size=16).hexdigest().encode()
    known = _header(scope, b"if-none-match")
    if tag.decode() in known or known.strip() == "*":
        await _send(send, 304, b"", (b"etag", tag))
    else:
        await _send(send, 200, body, (b"etag", tag))


async def _send(send: Send, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [*more]
    if status != 304:
        headers += [
            (b"content-type", b"application/json; charset=UTF-8"),
            (b"content-length", str(len(body)).encode()),
        ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _break(fault: str, receive: Receive, send: Send) -> None:
    """Never answer, or reset the connection through the transport behind uvicorn's `send`."""
    if fault == "silence":
        message = await receive()
        while message["type"] != "http.disconnect":
            message = await receive()
        return
    cycle: Any = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is None:
        raise ConnectionResetError("a fault asked for a reset")
    with contextlib.suppress(OSError):
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
