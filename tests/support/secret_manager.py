"""A Secret Manager for tests: versions of secrets, who may read them, and faults on demand."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.http_servers import SilentHandler, running

if TYPE_CHECKING:
    from collections.abc import Generator

_ACCESS = re.compile(r"/v1/projects/([^/]+)/secrets/([^/]+)/versions/([^/:]+):access")


@dataclass
class SecretManager:
    """The secrets of one project, by `name/version`; bytes, or the state of a dead version."""

    project: str = "p"
    token: str = "ya29.of-the-instance"  # empty: any is accepted
    secrets: dict[str, bytes | str] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)  # names
    faults: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # the next answers
    requests: list[str] = field(default_factory=list)  # paths
    redirect: str = ""  # where to, instead of an answer
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def answer(self, path: str, authorization: str | None) -> tuple[int, dict[str, Any]]:
        self.requests.append(path)
        if self.faults:
            return self.faults.pop(0)
        if self.token and authorization != f"Bearer {self.token}":
            return error(401, "UNAUTHENTICATED")
        found = _ACCESS.fullmatch(path)
        if found is None or found[1] != self.project:
            return error(403, "PERMISSION_DENIED")
        if found[2] in self.denied:
            return error(403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED")
        value = self.secrets.get(f"{found[2]}/{found[3]}")
        if value is None:
            return error(404, "NOT_FOUND")
        if isinstance(value, str):
            return error(400, "FAILED_PRECONDITION")
        data = b64encode(value).decode()
        return 200, {"name": path, "payload": {"data": data, "dataCrc32c": "1"}}


def error(code: int, status: str, reason: str = "") -> tuple[int, dict[str, Any]]:
    """An error of a Google API."""
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    details = [{"@type": kind, "reason": reason}] if reason else []
    return code, {"error": {"code": code, "status": status, "message": "m", "details": details}}


@contextmanager
def serving(manager: SecretManager, host: str = "127.0.0.1") -> Generator[SecretManager]:
    """Serve a Secret Manager on a free port."""

    class Handler(SilentHandler):
        def do_GET(self) -> None:
            if manager.redirect:
                self.respond(status=307, Location=manager.redirect)
                return
            code, body = manager.answer(self.path, self.headers["Authorization"])
            self.respond(json.dumps(body).encode(), code)

    with running(Handler, host) as manager.port:
        yield manager
