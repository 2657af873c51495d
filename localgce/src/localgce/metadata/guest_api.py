"""Calls of Compute Engine from a guest, which reaches the API at the metadata server's address.

Compute Engine's own address is not known in a guest. A call has to bring the token of its
instance's service account, whose scopes decide whether it may read and change.
"""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING

from localgce.core.errors import ApiError
from localgce.metadata.service_accounts import SCOPES, token

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from localgce.core.store import Record

_PREFIX = "/compute/v1/"
_HOST = b"127.0.0.1"
_CHANGES = {SCOPES, "https://www.googleapis.com/auth/compute"}
_READS = {*_CHANGES, "https://www.googleapis.com/auth/compute.readonly"}


def is_call(scope: Scope) -> bool:
    """Whether a request to the metadata server is one of Compute Engine."""
    path: str = scope["path"]
    return path.startswith(_PREFIX)


async def answer(
    instance: Record | None,
    now: float,
    api: ASGIApp | None,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Let the API answer a call of this instance, or refuse it.

    Args:
        instance: the caller; None when it is being deleted.
        now: the server's time, which tokens are valid by.
        api: the application of the API; None while the server starts or ends.
        scope: the request, as ASGI has it.
        receive: ASGI's.
        send: ASGI's.
    """
    headers = {name.lower(): value for name, value in scope["headers"]}
    try:
        if instance is None or api is None:
            raise ApiError(503, "backendError", "The server is starting, or ends.")
        _check(instance, now, headers, reads=scope["method"] in {"GET", "HEAD"})
    except ApiError as error:
        await _refuse(error, send)
        return
    others = [(name, value) for name, value in scope["headers"] if name.lower() != b"host"]
    await api({**scope, "headers": [(b"host", _HOST), *others]}, receive, send)


def _check(instance: Record, now: float, headers: dict[bytes, bytes], *, reads: bool) -> None:
    """Raise 401 without the instance's own token, and 403 where its scopes do not suffice."""
    if b"x-forwarded-for" in headers:
        raise ApiError(403, "forbidden", "Requests with X-Forwarded-For are refused.")
    accounts = instance.body.get("serviceAccounts", [])
    own = f"Bearer {token(instance.id, now)['access_token']}".encode()
    if not accounts or not hmac.compare_digest(headers.get(b"authorization", b""), own):
        text = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        raise ApiError(401, "authError", text)
    scopes = {scope for account in accounts for scope in account.get("scopes", [SCOPES])}
    if not scopes & (_READS if reads else _CHANGES):
        text = "Request had insufficient authentication scopes."
        raise ApiError(403, "insufficientPermissions", text)


async def _refuse(error: ApiError, send: Send) -> None:
    body = json.dumps(error.as_json()).encode()
    headers = [
        (b"content-type", b"application/json; charset=UTF-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
