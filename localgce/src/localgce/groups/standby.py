"""Instances that a managed group has stopped or suspended: its standby pool, beside its size.

A member's `private` names its pool in `standby` from the request until it is to be started again,
and in `not_before` when it may be stopped or suspended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from localgce.core import errors
from localgce.groups import members as group_members
from localgce.groups import validation
from localgce.groups.plan import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record


@dataclass(frozen=True)
class Pool:
    """One of the two ways to be on standby."""

    name: str
    size: str  # the group's field that counts it
    enter: Action
    leave: Action
    force: str  # the request's field that skips the initial delay


STOPPED = Pool("stopped", "targetStoppedSize", Action.STOPPING, Action.STARTING, "forceStop")
SUSPENDED = Pool(
    "suspended", "targetSuspendedSize", Action.SUSPENDING, Action.RESUMING, "forceSuspend"
)
POOLS = {pool.name: pool for pool in (STOPPED, SUSPENDED)}


def enter(
    context: Context, group: Record, members: Sequence[Record], given: Json, pool: Pool
) -> Record:
    """Stop or suspend running members, by which the group's size shrinks and the pool grows."""
    for index, member in enumerate(members):
        fact = group_members.fact(context.core, group, member)
        runs = fact.action in {Action.NONE, Action.VERIFYING} and not fact.failed
        if not runs or fact.standby:
            raise _refused(index, member, "running")
        at = 0.0 if given.get(pool.force) else _initialised(context, group, member)
        action = pool.enter.value
        context.store.put(member.kept(standby=pool.name, not_before=at, action=action))
    number = len(members)
    changed = _sized(context, group, -number, {pool.size: number})
    return _begin(context, changed, members)


def leave(context: Context, group: Record, members: Sequence[Record], pool: Pool) -> Record:
    """Start or resume members of the pool, by which it shrinks and the group's size grows.

    One that is being deleted or abandoned is in no pool any more.
    """
    for index, member in enumerate(members):
        if member.private.get("standby") != pool.name or group_members.is_leaving(member):
            raise _refused(index, member, pool.name)
        context.store.put(member.kept(standby="", action=pool.leave.value))
    number = len(members)
    return _begin(context, _sized(context, group, number, {pool.size: -number}), members)


def removed(context: Context, group: Record, members: Sequence[Record]) -> Record:
    """The group without these members: each shrinks the size that counts it."""
    pools = [str(member.private.get("standby") or "") for member in members]
    shrunk = {pool.size: -pools.count(name) for name, pool in POOLS.items() if name in pools}
    return _sized(context, group, -pools.count(""), shrunk)


def _begin(context: Context, group: Record, members: Sequence[Record]) -> Record:
    names = [member.name for member in members]
    return context.begin(group, "managedInstances.standby", names=names)


def _initialised(context: Context, group: Record, member: Record) -> float:
    """When the initial delay of the standby policy ends."""
    instance = group_members.instance_of(context.core, member)
    delay = group.body.get("standbyPolicy", {}).get("initialDelaySec", 0)
    if instance is None or not delay:
        return 0.0
    made = datetime.fromisoformat(instance.body["creationTimestamp"])
    return made.timestamp() + float(delay)


def _sized(context: Context, group: Record, running: int, pools: dict[str, int]) -> Record:
    sizes = {name: max(0, int(group.body.get(name, 0)) + more) for name, more in pools.items()}
    size = validation.check_size(max(0, int(group.body["targetSize"]) + running))
    return context.store.put(group.changed(targetSize=size, **sizes))


def _refused(index: int, member: Record, wanted: str) -> errors.ApiError:
    text = f"The instance is not {wanted}."
    return errors.invalid(f"resource.instances[{index}]", member.name, text)
