"""POST /batch/compute/v1: many requests in one multipart body, each answered on its own."""

from __future__ import annotations

from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import Response

from localgce.core.errors import ApiError

if TYPE_CHECKING:
    from starlette.requests import Request

    from localgce.http.dispatcher import Dispatcher

MAX_CALLS = 1000
_BOUNDARY = "batch_localgce"


async def batch(dispatcher: Dispatcher[Any], request: Request) -> Response:
    """Answer each part in turn; raises 400 for a body that is not multipart."""
    raw = await request.body()
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/mixed"):
        raise ApiError(400, "badRequest", "A batch request is multipart/mixed.")
    parsed = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + raw)
    parts = [part for part in parsed.iter_parts() if isinstance(part, Message)]
    if not 1 <= len(parts) <= MAX_CALLS:
        raise ApiError(400, "badRequest", f"A batch has 1 to {MAX_CALLS} calls.")
    answers = [await _part(dispatcher, part) for part in parts]
    body = b"".join(b"--%s\r\n%s\r\n" % (_BOUNDARY.encode(), answer) for answer in answers)
    return Response(
        body + f"--{_BOUNDARY}--\r\n".encode(),
        media_type=f"multipart/mixed; boundary={_BOUNDARY}",
    )


async def _part(dispatcher: Dispatcher[Any], part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    inner = payload if isinstance(payload, bytes) else b""
    head, _, body = inner.partition(b"\r\n\r\n")
    if not body and b"\n\n" in inner:
        head, _, body = inner.partition(b"\n\n")
    words = head.decode("latin-1").split("\n", 1)[0].split()
    if len(words) < 2:
        raise ApiError(400, "badRequest", "A part of the batch is no HTTP request.")
    url = urlsplit(words[1])
    path = url.path.removeprefix("/compute/v1/")
    answer = await dispatcher.answer(words[0], path, url.query, body)
    status = answer.status or 503
    content = answer.encoded()
    lines = [
        "Content-Type: application/http",
        f"Content-ID: {_content_id(part)}",
        "",
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json; charset=UTF-8",
        f"Content-Length: {len(content)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + content


def _content_id(part: Message) -> str:
    """Google prefixes what the client sent: `<x + 1>` comes back as `<response-x + 1>`."""
    given = str(part.get("Content-ID", "<>")).strip()
    return f"<response-{given[1:]}" if given.startswith("<") else f"response-{given}"
