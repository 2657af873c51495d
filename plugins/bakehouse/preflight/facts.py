"""What is known of a project's set-up before its first bake. Pure.

`bakehouse.preflight.gather` reads it, `bakehouse.preflight.decisions` decides what is wrong. A fact
that could not be read is an `Unread`, which says why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bakehouse.core.check import Check, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

# as Google's APIs word it: https://cloud.google.com/apis/design/errors, and the 403 of each API
_DISABLED = re.compile(r"apis/api/([a-z][a-z0-9-]*\.googleapis\.com)")
_PERMISSION = re.compile(
    r"(?:Required|Permission|does not have) '?([a-z]+\.[a-zA-Z]+\.[a-zA-Z]+)'?"
)


@dataclass(frozen=True)
class Unread:
    """A fact that could not be read; `problem` is the error in one line."""

    problem: str

    @property
    def disabled_api(self) -> str:
        """The API that is not enabled, such as compute.googleapis.com; empty if that is not why."""
        found = _DISABLED.search(self.problem)
        return found[1] if found else ""

    @property
    def missing_permission(self) -> str:
        """The permission that the caller lacks; empty if that is not why."""
        found = _PERMISSION.search(self.problem)
        return found[1] if found else ""


def unread(name: str, what: str, why: Unread) -> Check:
    """Return the line of a check whose fact could not be read."""
    if why.disabled_api:
        return unknown(name, f"{what}: not known, since {why.disabled_api} is not enabled")
    if why.missing_permission:
        return unknown(name, f"{what}: not known, which needs {why.missing_permission}")
    return unknown(name, f"{what}: not known: {why.problem}")


@dataclass(frozen=True)
class Quota:
    """One quota of a region or project. Source: `quotas[]` of regions.get and projects.get."""

    limit: float
    usage: float

    @property
    def free(self) -> float:
        """How much may be added."""
        return self.limit - self.usage


@dataclass(frozen=True)
class Subnet:
    """A subnetwork. Source: subnetworks.list."""

    name: str
    path: str  # projects/P/regions/R/subnetworks/NAME
    network: str  # projects/P/global/networks/NAME
    private_google_access: bool


@dataclass(frozen=True)
class Nat:
    """A Cloud NAT of a router; no `subnets`: it serves all of the network. Source: routers.list."""

    router: str
    network: str
    subnets: tuple[str, ...] = ()

    def serves(self, subnet: Subnet) -> bool:
        """Whether machines of the subnetwork reach the internet through it."""
        return self.network == subnet.network and (not self.subnets or subnet.path in self.subnets)


@dataclass(frozen=True, order=True)
class Place:
    """A project and a region, where a subnetwork lies: that of another project is a Shared VPC."""

    project: str
    region: str


@dataclass(frozen=True)
class CloudFacts:
    """What Google Cloud says; keys are as the recipes and fleets ask."""

    connection: str
    project: str | Unread
    account: str = ""
    """The e-mail of the caller; empty for anonymous or unknown."""
    apis: Mapping[str, Unread | None] = field(default_factory=dict)
    """The first answer of each API that is needed; None: it has answered."""
    granted: frozenset[str] | Unread = frozenset()
    accounts: Mapping[str, bool | Unread] = field(default_factory=dict)
    """Whether the caller may act as a service account that recipes and fleets give to machines."""
    quotas: Mapping[str, Mapping[str, Quota] | Unread] = field(default_factory=dict)
    """By region, and of the whole project under an empty name; by metric."""
    cpus: Mapping[tuple[str, str], int | Unread | None] = field(default_factory=dict)
    """Of a machine type in a zone; None: there is no such machine type."""
    subnets: Mapping[Place, tuple[Subnet, ...] | Unread] = field(default_factory=dict)
    nats: Mapping[Place, tuple[Nat, ...] | Unread] = field(default_factory=dict)
    bases: Mapping[str, str | Unread] = field(default_factory=dict)
    """The name of the image that a recipe's base is now, by the base."""
    guest_attributes_denied: bool | Unread = False
    """Whether constraints/compute.disableGuestAttributesAccess is enforced."""


@dataclass(frozen=True)
class StoreFacts:
    """What a try of the ledger's store has shown; `problem` is empty where it serves."""

    url: str
    problem: str = ""


@dataclass(frozen=True)
class GitFacts:
    """The repository of the recipes; `missing` are recipes that its commit does not have."""

    connection: str
    commit: str | Unread
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class AirflowFacts:
    """Settings of Airflow that bakes and rollouts depend on."""

    executor: str
    heartbeat_seconds: float
    triggerer_capacity: int
    first_look_seconds: float
    database: str
    """The scheme of the database's URL; empty where a task cannot see it."""
    is_composer: bool = False
    timetable: str = "bakehouse"


@dataclass(frozen=True)
class TriggererFacts:
    """What the triggerer has answered; `problem`: why it has not."""

    version: str = ""
    problem: str = ""
