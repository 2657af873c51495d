"""One call of the API, as handlers see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localgce import errors
from localgce.errors import Json
from localgce.http.discovery import Method
from localgce.resources import links
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.control.faults import Rule
    from localgce.service import Service


@dataclass
class Call:
    """A routed and validated call."""

    service: Service
    method: Method
    path: dict[str, str]
    query: dict[str, Any]
    body: Json
    cleared: frozenset[str] = frozenset()
    faults: list[Rule] = field(default_factory=list)

    @property
    def project(self) -> str:
        """The project that the path names."""
        return self.path["project"]

    @property
    def scope(self) -> str:
        """`zones/Z`, `regions/R` or `global`."""
        if "zone" in self.path:
            return f"zones/{self.path['zone']}"
        return f"regions/{self.path['region']}" if "region" in self.path else "global"

    @property
    def subject(self) -> str | None:
        """The name of the resource that the call is about: in the path, or in an insert's body."""
        name = self.method.subject
        if name and name in self.path:
            return self.path[name]
        inserted = self.body.get("name")
        return inserted if isinstance(inserted, str) else None

    def link(self, value: str, name: str) -> links.Link:
        """A link given in the field of that name, `project` and `zone` of the call assumed."""
        return links.parse(value, project=self.project, field=name)

    def record(self, kind: str | None = None, name: str | None = None) -> Record:
        """The resource that the call is about; raises 404."""
        kind = kind or self.method.resource
        wanted = name or self.path[self.method.subject or ""]
        found = self.service.store.get(kind, self.project, self.scope, wanted)
        if found is None:
            collection = "operations" if kind.endswith("Operations") else kind
            raise errors.not_found(f"projects/{self.project}/{self.scope}/{collection}/{wanted}")
        return found

    def at(self, link: links.Link) -> Record:
        """The resource at a link; raises 404."""
        found = self.service.store.get(link.collection, link.project, link.scope, link.name)
        if found is None:
            raise errors.not_found(link.path)
        return found

    def refuse_existing(self, kind: str, name: str) -> None:
        """Raises 409 when the name is taken."""
        found = self.service.store.get(kind, self.project, self.scope, name)
        if found is not None:
            raise errors.already_exists(found.path)

    def begin(self, target: Record, work: str, **args: Any) -> Json:
        """Start the operation that does the work on the target; returns what the call answers."""
        return self.service.operations.begin(self, target, work, args).body
