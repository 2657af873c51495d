"""The commands on some instances of a managed instance group."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from localgce.core import errors
from localgce.groups import instance_configs, standby, validation
from localgce.groups import members as group_members
from localgce.groups.plan import Action

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record
    from localgce.groups.standby import Pool

_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")


def recreate(context: Context, group: Record, given: Json) -> Record:
    """Replace instances at once."""
    names = _names(context, group, given)
    return context.begin(group, "managedInstances.recreate", names=names)


def apply_updates(context: Context, group: Record, given: Json) -> Record:
    """Update instances to their target version at once, in place, as far as is allowed."""
    everyone = given.get("allInstances", False)
    if everyone and given.get("instances"):
        text = "Only one of allInstances and instances can be given."
        raise errors.invalid("resource.allInstances", True, text)
    members = group_members.all_of(context.core, group)
    running = [m.name for m in members if not group_members.is_on_standby(m)]
    names = running if everyone else _names(context, group, given)
    minimal = given.get("minimalAction", "NONE")
    allowed = given.get("mostDisruptiveAllowedAction", "REPLACE")
    return context.begin(
        group, "managedInstances.apply", names=names, minimal=minimal, allowed=allowed
    )


def delete(context: Context, group: Record, given: Json) -> Record:
    """Delete instances and shrink the group by them."""
    return _shrink(context, group, given, Action.DELETING, "managedInstances.delete")


def abandon(context: Context, group: Record, given: Json) -> Record:
    """Remove instances from the group without deleting them, and shrink the group by them."""
    return _shrink(context, group, given, Action.ABANDONING, "managedInstances.abandon")


def enter_standby(context: Context, group: Record, given: Json, pool: Pool) -> Record:
    """Stop or suspend instances, and shrink the group by them."""
    return standby.enter(context, group, _members(context, group, given), given, pool)


def leave_standby(context: Context, group: Record, given: Json, pool: Pool) -> Record:
    """Start or resume instances, and grow the group by them."""
    return standby.leave(context, group, _members(context, group, given), pool)


def create(context: Context, group: Record, given: Json) -> Record:
    """Create instances of these names with a config each, and grow the group by them."""
    configs: dict[str, Json] = {}
    names = [str(raw.get("name", "")) for raw in given.get("instances", [])]
    if not names:
        raise errors.required("resource.instances")
    for index, name in enumerate(names):
        where = f"resource.instances[{index}].name"
        if not _NAME.fullmatch(name):
            raise errors.invalid(where, name, f"Must be a match of regex '{_NAME.pattern}'")
        if names.count(name) > 1:
            raise errors.invalid(where, name, "Given twice.")
        for zone in validation.zones_of(group.body):
            context.within(f"zones/{zone}").refuse_existing("instances", name)
        state = given["instances"][index].get("preservedState", {})
        where = f"resource.instances[{index}].preservedState"
        configs[name] = instance_configs.checked_state(context, group, state, where)
    size = validation.check_size(group.body["targetSize"] + len(names))
    changed = context.store.put(group.changed(targetSize=size))
    for name in names:  # in this transaction, so that the group does not create others instead
        facts = group_members.facts(context.core, changed)
        version = facts.most_lacking()
        member = group_members.new(context.core, changed, version, name)
        context.store.put(member.kept(config=configs[name]))
    return context.begin(changed, "managedInstances.create", names=names)


def _members(context: Context, group: Record, given: Json) -> list[Record]:
    """The members that the body's links name; raises 400 for an instance of another group."""
    values = given.get("instances", [])
    if not values:
        raise errors.required("resource.instances")
    there = {member.name: member for member in group_members.all_of(context.core, group)}
    found = {}
    for index, value in enumerate(values):
        where = f"resource.instances[{index}]"
        link = context.link(value, where)
        member = there.get(link.name)
        if member is None or group_members.instance_scope(member) != link.scope:
            text = f"The instance is not a member of '{group.path}'."
            raise errors.invalid(where, value, text)
        found[member.name] = member
    return list(found.values())


def _names(context: Context, group: Record, given: Json) -> list[str]:
    """Their names; raises 400 for one on standby."""
    members = _members(context, group, given)
    for index, member in enumerate(members):
        if group_members.is_on_standby(member):
            where = f"resource.instances[{index}]"
            raise errors.invalid(where, member.name, "The instance is on standby: start it first.")
    return [member.name for member in members]


def _shrink(context: Context, group: Record, given: Json, action: Action, handler: str) -> Record:
    """Change size and members in one transaction, so that the group does not replace them."""
    members = _members(context, group, given)
    leaving = [m for m in members if not group_members.is_leaving(m)]
    for member in leaving:
        context.store.put(member.kept(action=action.value))
    changed = standby.removed(context, group, leaving)
    return context.begin(changed, handler, names=[member.name for member in members])
