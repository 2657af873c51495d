"""Managed instances: their records, and how the API shows them.

A record's `private`: `version` {name, instanceTemplate}, `action`, `since` (when it last started),
`zone` (of a member of a regional group), `born`, `old` (the id of the instance that is being
replaced), `preserved` (what the stateful policy preserves: `disks` by device name, `internalIPs`
and `externalIPs` by interface), `errors` of the last attempt, `config` (what a per-instance config
preserves; see `instance_configs`), `standby` and `not_before` (see `standby`).
"""

from __future__ import annotations

import secrets
import string
from typing import TYPE_CHECKING

from localgce.core import links
from localgce.core.ids import numeric_id
from localgce.core.store import Record
from localgce.groups.plan import LEAVING, Action, Group, Member, Version
from localgce.groups.templates import needs
from localgce.groups.validation import policy, targets, zones_of

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.errors import Json

KIND = "managedInstances"
_LETTERS = string.digits + string.ascii_lowercase
_OFF = {"TERMINATED", "STOPPED"}


def scope_of(group: Record) -> str:
    """The store's scope for the members of a group."""
    return f"{group.scope}/instanceGroupManagers/{group.name}"


def is_on_standby(member: Record) -> bool:
    """Whether the group has stopped or suspended the member, or is about to."""
    return bool(member.private.get("standby"))


def is_leaving(member: Record) -> bool:
    """Whether the group deletes or abandons the member."""
    return Action(member.private["action"]) in LEAVING


def all_of(core: Core, group: Record) -> list[Record]:
    """The members of a group."""
    return core.store.all(KIND, group.project, scope_of(group))


def has_configs(core: Core, group: Record) -> bool:
    """Whether a per-instance config of the group preserves something."""
    return any(member.private.get("config") for member in all_of(core, group))


def group_of(core: Core, member: Record) -> Record | None:
    """The group of a member; None when it is deleted."""
    scope, _, name = member.scope.partition("/instanceGroupManagers/")
    return core.store.get("instanceGroupManagers", member.project, scope, name)


def instance_of(core: Core, member: Record) -> Record | None:
    """The instance of a member; None while it does not exist."""
    return core.store.get("instances", member.project, instance_scope(member), member.name)


def instance_scope(member: Record) -> str:
    """`zones/Z`: where a member's instance is, which a regional group has chosen."""
    if zone := member.private.get("zone"):
        return f"zones/{zone}"
    return member.scope.partition("/instanceGroupManagers/")[0]


def new(core: Core, group: Record, version: Version, name: str | None = None) -> Record:
    """A member to create, with a name that no instance of the group's zones has.

    One of a regional group goes where the fewest are.
    """
    name = name or _free_name(core, group)
    private = {
        "version": shown_version(version),
        "action": Action.CREATING.value,
        "since": None,
        "born": core.clock.now(),
        "old": None,
        "preserved": {},
        **_placed(core, group),
    }
    body: Json = {"id": numeric_id(), "selfLink": ""}
    return Record(KIND, group.project, scope_of(group), name, body, private)


def _free_name(core: Core, group: Record) -> str:
    base = group.body["baseInstanceName"]
    while True:
        name = f"{base}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"
        taken = any(
            core.store.get("instances", group.project, f"zones/{zone}", name)
            for zone in zones_of(group.body)
        )
        if not taken and core.store.get(KIND, group.project, scope_of(group), name) is None:
            return name


def _placed(core: Core, group: Record) -> Json:
    """The `private` field of a new member of a regional group: its zone."""
    if "region" not in group.body:
        return {}
    there = [member.private["zone"] for member in all_of(core, group) if not is_leaving(member)]
    return {"zone": min(zones_of(group.body), key=there.count)}


def version_of(member: Record) -> Version:
    """The version that a member has or is being updated to."""
    raw = member.private["version"]
    return Version(raw.get("name", ""), raw["instanceTemplate"])


def shown_version(version: Version) -> Json:
    """A ManagedInstanceVersion."""
    shown: Json = {"instanceTemplate": version.template}
    return {**shown, "name": version.name} if version.name else shown


def ready_at(group: Record, member: Record) -> float | None:
    """When a member that has started counts as available."""
    since: float | None = member.private["since"]
    seconds = group.body["updatePolicy"].get("minReadySec", 0)
    return None if since is None else since + float(seconds)


def fact(core: Core, group: Record, member: Record) -> Member:
    """The input of `plan` about a member."""
    instance = instance_of(core, member)
    action = Action(member.private["action"])
    at = ready_at(group, member)
    running = instance is not None and instance.body["status"] == "RUNNING"
    waiting = at is not None and at > core.clock.now()
    off = instance is None or instance.body["status"] in _OFF
    if action is Action.NONE and running and waiting:
        action = Action.VERIFYING
    return Member(
        name=member.name,
        version=version_of(member),
        action=action,
        ready=running and action is Action.NONE,
        failed=off and action is Action.NONE and not is_on_standby(member),
        missing=instance is None,
        born=member.private["born"],
        zone=instance_scope(member),
        standby=is_on_standby(member),
    )


def facts(core: Core, group: Record) -> Group:
    """The input of `plan` about a group."""
    return Group(
        size=int(group.body["targetSize"]),
        targets=targets(group.body),
        members=[fact(core, group, member) for member in all_of(core, group)],
        policy=policy(group.body),
        needs=lambda old, new: needs(core.store, group.project, old, new),
    )


def shown(core: Core, group: Record, member: Record) -> Json:
    """A ManagedInstance."""
    found = fact(core, group, member)
    instance = instance_of(core, member)
    path = f"projects/{group.project}/{instance_scope(member)}/instances/{member.name}"
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
    if member.private.get("config"):
        body["preservedStateFromConfig"] = member.private["config"]
    return body
