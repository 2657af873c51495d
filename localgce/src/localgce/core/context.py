"""The context that commands and services are given.

`Core` exists once per server: state, time, operations and faults. `Context` exists once per
request: it adds the project and the scope that the request addresses, and its origin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from localgce.core import catalog, errors, links
from localgce.core.changes import Changes
from localgce.core.faults import CALL_KINDS, Faults
from localgce.core.operations import Operations, Origin
from localgce.core.quotas import Quotas
from localgce.core.store import Record, Store

if TYPE_CHECKING:
    from localgce.core.clock import Clock
    from localgce.core.settings import Settings


@dataclass(frozen=True)
class Core:
    """What there is one of per server."""

    settings: Settings
    clock: Clock
    store: Store
    changes: Changes
    faults: Faults
    operations: Operations
    quotas: Quotas

    @classmethod
    def open(cls, settings: Settings, clock: Clock) -> Core:
        """Open the state folder; raises StateInUse when another server has it."""
        store, faults = Store(settings.state), Faults()
        operations = Operations(store, clock, faults)
        return cls(settings, clock, store, Changes(), faults, operations, Quotas(store))

    def project_record(self, project: str) -> Record:
        """The project; raises 404."""
        found = self.store.get("projects", project, "global", project)
        if found is None:
            raise errors.not_found(f"projects/{project}")
        return found

    def internal(self, method: str, project: str, scope: str, resource: str) -> Context:
        """The context of a request that the server itself makes, such as a group's insert.

        Faults apply to it as to a client's request: raises ApiError when one rejects it.
        """
        rules = self.faults.for_call(method, resource)
        rejected = next((rule for rule in rules if rule.kind == "http"), None)
        if rejected is not None:
            raise rejected.call_error()
        kept = tuple(rule for rule in rules if rule.kind not in CALL_KINDS)
        return Context(self, project, scope, Origin(method, faults=kept))

    def unfaulted(self, method: str, project: str, scope: str) -> Context:
        """The context of an internal request that faults do not apply to."""
        return Context(self, project, scope, Origin(method))


@dataclass(frozen=True)
class Context:
    """Where one request acts, and what its operations record about it."""

    core: Core
    project: str
    scope: str  # zones/Z, regions/R or global
    origin: Origin

    @property
    def store(self) -> Store:
        """All records."""
        return self.core.store

    @property
    def zone(self) -> str:
        """The zone of a zonal request; empty for others."""
        kind, _, name = self.scope.partition("/")
        return name if kind == "zones" else ""

    @property
    def region(self) -> str:
        """The region of a regional or zonal request; empty for global ones."""
        kind, _, name = self.scope.partition("/")
        return name if kind == "regions" else catalog.region_of(name) if name else ""

    @property
    def base(self) -> str:
        """`projects/P/zones/Z`: what the path of a resource in this scope begins with."""
        return f"projects/{self.project}/{self.scope}"

    def now(self) -> float:
        """The server's time in seconds since the epoch."""
        return self.core.clock.now()

    def within(self, scope: str) -> Context:
        """The same request in another scope."""
        return replace(self, scope=scope)

    def link(self, value: str, field: str) -> links.Link:
        """The link that a request gives in `field`; it may omit the project."""
        return links.parse(value, project=self.project, field=field)

    def find(self, kind: str, name: str) -> Record:
        """The resource of this scope; raises 404."""
        found = self.store.get(kind, self.project, self.scope, name)
        if found is None:
            collection = "operations" if kind.endswith("Operations") else kind
            raise errors.not_found(f"{self.base}/{collection}/{name}")
        return found

    def at(self, link: links.Link) -> Record:
        """The resource at a link; raises 404."""
        found = self.store.at(link)
        if found is None:
            raise errors.not_found(link.path)
        return found

    def refuse_existing(self, kind: str, name: str) -> None:
        """Raise 409 when the scope has a resource of that name."""
        found = self.store.get(kind, self.project, self.scope, name)
        if found is not None:
            raise errors.already_exists(found.path)

    def begin(self, target: Record, handler: str, **args: object) -> Record:
        """Begin the operation whose handler does the work on the target."""
        return self.core.operations.begin(self.origin, self.scope, target, handler, args)
