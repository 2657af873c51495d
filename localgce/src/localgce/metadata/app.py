"""The metadata server of one machine, as Compute Engine documents it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode

from localgce.metadata import guest_api, paths
from localgce.metadata.guest_attributes import NAME, VALUE_BYTES, GuestAttributes
from localgce.metadata.service_accounts import identity, token
from localgce.metadata.tree import instance_tree, project_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from localgce.core.context import Core
    from localgce.core.store import Record

_ROOT = "/computeMetadata/v1"
_LONGEST_WAIT = 3600.0


@dataclass(frozen=True)
class Reply:
    """Status, text, and the values of the headers."""

    status: int
    text: str = ""
    kind: str = "application/text"
    etag: str = ""
    location: str = ""


class MetadataApp:
    """An ASGI application for one machine, which the socket identifies."""

    def __init__(
        self,
        core: Core,
        guest_attributes: GuestAttributes,
        machine_id: str,
        api: Callable[[], ASGIApp | None] = lambda: None,
    ) -> None:
        """Serve one machine; `api` is what answers calls of Compute Engine, once there is one."""
        self._core = core
        self._guest_attributes_store = guest_attributes
        self._machine_id = machine_id
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        if guest_api.is_call(scope):
            instance = self._core.store.by_id("instances", self._machine_id)
            now = self._core.clock.now()
            await guest_api.answer(instance, now, self._api(), scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        body = await _read(receive)
        path = unquote(scope["path"])
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        try:
            reply = await self.reply(scope["method"], path, query, headers, body)
        except asyncio.CancelledError:  # the server ends while a guest waits for a change
            reply = Reply(503, "The metadata server is shutting down.\n", "text/html")
        await _send(send, reply)

    async def reply(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Reply:
        """The reply to one request; `headers` have lower case names."""
        if "x-forwarded-for" in headers:
            return Reply(403, "Requests with X-Forwarded-For are refused.\n", "text/html")
        fixed = {"": "computeMetadata/\n", "/computeMetadata": "v1/\n"}.get(path.rstrip("/"))
        if fixed is not None:
            return Reply(200, fixed)
        if headers.get("metadata-flavor", "").lower() != "google":
            return Reply(403, "Missing Metadata-Flavor:Google header.\n", "text/html")
        if path == _ROOT:
            return Reply(301, location=f"{_ROOT}/")
        if not path.startswith(f"{_ROOT}/"):
            return _missing(path)
        instance = self._core.store.by_id("instances", self._machine_id)
        if instance is None:
            return Reply(503, "The instance is being deleted.\n", "text/html")
        parts = [part for part in path.removeprefix(_ROOT).split("/") if part]
        if parts[:2] == ["instance", "guest-attributes"]:
            return self._guest_attributes(instance, method, parts[2:], query, body)
        if method not in {"GET", "HEAD"}:
            return Reply(405, "Method not allowed.\n", "text/html")
        if len(parts) == 4 and parts[1] == "service-accounts" and parts[3] in _COMPUTED:
            return self._credential(instance, parts[2], parts[3], query)
        return await self._read(path, parts, query)

    async def _read(self, path: str, parts: list[str], query: dict[str, str]) -> Reply:
        found, value, own = paths.find(self._tree(), parts)
        if not found:
            return _missing(path)
        folder = paths.is_folder(value, own)
        recursive = query.get("recursive", "").lower() == "true"
        if folder and not path.endswith("/"):
            text = f"?{urlencode(query)}" if query else ""
            return Reply(301, location=f"{path}/{text}")
        if query.get("wait_for_change", "").lower() == "true":
            if folder and not recursive:
                return Reply(400, "wait_for_change on a directory needs recursive=true.\n")
            found, value = await self._changed(parts, value, query)
            if not found:
                return _missing(path)
        return _shown(value, own, query.get("alt"), recursive=recursive, folder=folder)

    async def _changed(
        self, parts: list[str], value: Any, query: dict[str, str]
    ) -> tuple[bool, Any]:
        """The value once it differs from the client's, or the current one after the timeout."""
        known = query.get("last_etag", paths.etag(value))
        given = query.get("timeout_sec", "")
        whole = re.fullmatch(r"-?[0-9]{1,9}", given, re.ASCII)
        seconds = min(float(given), _LONGEST_WAIT) if whole else _LONGEST_WAIT
        found = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while found and paths.etag(value) == known:
                    await self._core.changes.wait(*self._topics())
                    found, value, _ = paths.find(self._tree(), parts)
        return found, value

    def _topics(self) -> list[str]:
        instance = self._core.store.by_id("instances", self._machine_id)
        return [f"instance/{self._machine_id}", f"project/{instance.project if instance else ''}"]

    def _tree(self) -> dict[str, Any]:
        instance = self._core.store.by_id("instances", self._machine_id)
        if instance is None:
            return {}
        project = self._core.project_record(instance.project)
        tree = instance_tree(self._core.store, instance, project)
        tree[
            "guestAttributes"
        ] = {}  # listed as a folder; its contents are read by their own path only
        return {"instance": tree, "project": project_tree(project), "oslogin": {}}

    def _credential(
        self, instance: Record, account: str, what: str, query: dict[str, str]
    ) -> Reply:
        if query.get("wait_for_change", "").lower() == "true":
            return Reply(400, "wait_for_change is not supported here.\n")
        found, entry, _ = paths.find(self._tree(), ["instance", "service-accounts", account])
        if not found:
            return _missing(f"service-accounts/{account}")
        now = self._core.clock.now()
        if what == "token":
            return Reply(200, json.dumps(token(instance.id, now)), "application/json")
        audience = query.get("audience")
        if not audience:
            return Reply(400, "non-empty audience parameter required\n", "text/html")
        return Reply(200, identity(audience, entry["email"], instance.id, now), "text/html")

    def _guest_attributes(
        self, instance: Record, method: str, parts: list[str], query: dict[str, str], body: bytes
    ) -> Reply:
        attributes = self._guest_attributes_store
        if not attributes.enabled(instance):
            return Reply(403, "Guest attributes endpoint access is disabled.\n", "text/html")
        if method in {"GET", "HEAD"}:
            return self._read_guest_attributes(instance, parts, query)
        if not all(NAME.match(part) for part in parts) or not 1 <= len(parts) <= 2:
            return Reply(400, "A guest attribute is NAMESPACE/KEY.\n", "text/html")
        if method == "DELETE":
            key = parts[1] if len(parts) == 2 else None
            gone = attributes.delete(instance, parts[0], key)
            return Reply(200) if gone else _missing("/".join(parts))
        if method != "PUT" or len(parts) != 2:
            return Reply(405, "Method not allowed.\n", "text/html")
        if len(body) > VALUE_BYTES:
            return Reply(413, f"A value has at most {VALUE_BYTES} bytes.\n", "text/html")
        attributes.put(instance, parts[0], parts[1], body.decode(errors="replace"))
        return Reply(200)

    def _read_guest_attributes(
        self, instance: Record, parts: list[str], query: dict[str, str]
    ) -> Reply:
        current: Any = self._guest_attributes_store.all(instance)
        for part in parts:
            if not isinstance(current, dict) or part not in current:
                return _missing("/".join(parts))
            current = current[part]
        recursive = query.get("recursive", "").lower() == "true"
        folder = isinstance(current, dict)
        own = "guestAttributes"
        return _shown(current, own, query.get("alt"), recursive=recursive, folder=folder)


_COMPUTED = {"token", "identity"}


def _shown(value: Any, own: str, alt: str | None, *, recursive: bool, folder: bool) -> Reply:
    tag = paths.etag(value)
    if folder and recursive:
        if alt == "text":
            return Reply(200, paths.recursive_text(value, own), etag=tag)
        return Reply(200, json.dumps(value), "application/json", tag)
    if folder:
        return Reply(200, paths.listing(value, own), etag=tag)
    if alt == "json":
        return Reply(200, json.dumps(value), "application/json", tag)
    return Reply(200, paths.leaf_text(value, own), etag=tag)


def _missing(path: str) -> Reply:
    return Reply(404, f"The requested URL {path} was not found on this server.\n", "text/html")


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body") or sum(map(len, parts)) > 2 * VALUE_BYTES:
            return b"".join(parts)


async def _send(send: Send, reply: Reply) -> None:
    body = reply.text.encode()
    headers = [
        (b"metadata-flavor", b"Google"),
        (b"server", b"Metadata Server for VM"),
        (b"content-type", reply.kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-xss-protection", b"0"),
        (b"x-frame-options", b"SAMEORIGIN"),
    ]
    if reply.etag:
        headers.append((b"etag", reply.etag.encode()))
    if reply.location:
        headers.append((b"location", reply.location.encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
