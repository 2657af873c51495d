"""Managed instances as records of their own, and as the API shows them.

A record's `private`: `version` {name, instanceTemplate}, `action`, `since` (when it last came up),
`born`, `old` (the id of the instance that is being replaced), `preserved` (what the stateful
policy keeps: `disks` by device name, `internalIPs` and `externalIPs` by interface), `errors` of
the last attempt.
"""

from __future__ import annotations

import secrets
import string
from typing import TYPE_CHECKING

from localgce.errors import Json
from localgce.groups.body import policy, targets
from localgce.groups.plan import Action, Group, Member, Version
from localgce.groups.templates import needs
from localgce.resources import links
from localgce.resources.ids import numeric_id
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.service import Service

KIND = "managedInstances"
_LETTERS = string.digits + string.ascii_lowercase
_OFF = {"TERMINATED", "STOPPED"}


def scope_of(group: Record) -> str:
    """Where the store keeps the members of a group."""
    return f"{group.scope}/instanceGroupManagers/{group.name}"


def all_of(service: Service, group: Record) -> list[Record]:
    """The members of a group."""
    return service.store.all(KIND, group.project, scope_of(group))


def group_of(service: Service, member: Record) -> Record | None:
    """The group of a member, while there is one."""
    scope, _, name = member.scope.partition("/instanceGroupManagers/")
    return service.store.get("instanceGroupManagers", member.project, scope, name)


def instance_of(service: Service, member: Record) -> Record | None:
    """The instance of a member, while there is one."""
    scope = member.scope.partition("/instanceGroupManagers/")[0]
    return service.store.get("instances", member.project, scope, member.name)


def new(service: Service, group: Record, version: Version, name: str | None = None) -> Record:
    """A member to be, under a name that no instance of the zone has."""
    name = name or _free_name(service, group)
    private = {
        "version": shown_version(version),
        "action": Action.CREATING.value,
        "since": None,
        "born": service.clock.now(),
        "old": None,
        "preserved": {},
    }
    body: Json = {"id": numeric_id(), "selfLink": ""}
    return Record(KIND, group.project, scope_of(group), name, body, private)


def _free_name(service: Service, group: Record) -> str:
    base = group.body["baseInstanceName"]
    while True:
        name = f"{base}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"
        taken = service.store.get("instances", group.project, group.scope, name)
        if taken is None and service.store.get(KIND, group.project, scope_of(group), name) is None:
            return name


def version_of(member: Record) -> Version:
    """The version that a member is of, or is becoming."""
    raw = member.private["version"]
    return Version(raw.get("name", ""), raw["instanceTemplate"])


def shown_version(version: Version) -> Json:
    """A ManagedInstanceVersion."""
    shown: Json = {"instanceTemplate": version.template}
    return {**shown, "name": version.name} if version.name else shown


def ready_at(group: Record, member: Record) -> float | None:
    """When a member that came up counts as available."""
    since: float | None = member.private["since"]
    seconds = group.body["updatePolicy"].get("minReadySec", 0)
    return None if since is None else since + float(seconds)


def fact(service: Service, group: Record, member: Record) -> Member:
    """What the plan has to know of a member."""
    instance = instance_of(service, member)
    action = Action(member.private["action"])
    at = ready_at(group, member)
    running = instance is not None and instance.body["status"] == "RUNNING"
    waiting = at is not None and at > service.clock.now()
    off = instance is None or instance.body["status"] in _OFF
    if action is Action.NONE and running and waiting:
        action = Action.VERIFYING
    return Member(
        name=member.name,
        version=version_of(member),
        action=action,
        ready=running and action is Action.NONE,
        failed=off and action is Action.NONE,
        missing=instance is None,
        born=member.private["born"],
    )


def facts(service: Service, group: Record) -> Group:
    """All that the plan has to know of a group."""
    return Group(
        size=int(group.body["targetSize"]),
        targets=targets(group.body),
        members=[fact(service, group, member) for member in all_of(service, group)],
        policy=policy(group.body),
        needs=lambda old, new: needs(service, group.project, old, new),
    )


def shown(service: Service, group: Record, member: Record) -> Json:
    """A ManagedInstance."""
    found = fact(service, group, member)
    instance = instance_of(service, member)
    path = f"projects/{group.project}/{group.scope}/instances/{member.name}"
    body: Json = {
        "name": member.name,
        "instance": links.url(path),
        "currentAction": found.action.value,
        "version": member.private["version"],
    }
    if instance is not None:
        body.update(id=instance.id, instanceStatus=instance.body["status"])
    if member.private.get("errors"):
        body["lastAttempt"] = {"errors": {"errors": member.private["errors"]}}
    if member.private["preserved"]:
        body["preservedStateFromPolicy"] = member.private["preserved"]
    return body
