"""One request of the API, as handlers see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from localgce.core.errors import Json

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.store import Record
    from localgce.http.discovery import Method

Services = TypeVar("Services")


@dataclass(frozen=True)
class Call(Generic[Services]):
    """A routed and validated request; `services` are those that the handlers need."""

    context: Context
    services: Services
    method: Method
    path: dict[str, str]
    query: dict[str, Any]
    body: Json
    cleared: frozenset[str] = frozenset()  # what the body sets to null, as `a.b`

    def record(self) -> Record:
        """The resource that the path names; raises 404."""
        return self.context.find(self.method.kind, self.path[self.method.subject or ""])

    def records(self, *, everywhere: bool = False) -> list[Record]:
        """The method's resources in the request's scope, or in all scopes of the project."""
        context = self.context
        scope = None if everywhere else context.scope
        return context.store.all(self.method.kind, context.project, scope)


Handler = Callable[[Call[Services]], Json | Awaitable[Json]]


def scope_of(path: dict[str, str]) -> str:
    """`zones/Z`, `regions/R` or `global`."""
    if "zone" in path:
        return f"zones/{path['zone']}"
    return f"regions/{path['region']}" if "region" in path else "global"


def subject_of(method: Method, path: dict[str, str], body: Json) -> str | None:
    """The name of the resource that a request addresses: in the path, or in an insert's body."""
    name = method.subject
    if name and name in path:
        return path[name]
    inserted = body.get("name")
    return inserted if isinstance(inserted, str) else None


def request_key(
    method: Method, path: dict[str, str], request_id: str | None
) -> tuple[str, ...] | None:
    """What identifies a request across retries; None without a requestId."""
    if not request_id:
        return None
    return (method.id, *(value for _, value in sorted(path.items())), request_id.lower())
