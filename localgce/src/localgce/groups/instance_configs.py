"""Per-instance configs: the state that a group preserves of one instance alone.

A config is kept in its member's `private["config"]`, a PreservedState, which may be empty; a member
without a config has None there. It counts from the next time that the group makes the instance; its
disks are kept from the moment it is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import errors, limits, links
from localgce.core.ids import fingerprint
from localgce.groups import members as group_members

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record


_KINDS = ("disks", "metadata", "internalIPs", "externalIPs")


def update(context: Context, group: Record, given: Json) -> Record:
    """Set the configs of instances; each replaces the one that the instance has."""
    for index, config in enumerate(_configs(given)):
        where = f"resource.perInstanceConfigs[{index}]"
        member = _unchanged(context, group, config, where)
        state = checked_state(
            context, group, config.get("preservedState", {}), f"{where}.preservedState"
        )
        context.store.put(member.kept(config=state))
    return context.begin(group, "instanceGroupManagers.kick")


def patch(context: Context, group: Record, given: Json, cleared: frozenset[str]) -> Record:
    """Change the configs of instances: what a request does not name stays, what is null goes.

    `cleared` are the dotted paths of what the request sets to null.
    """
    for index, config in enumerate(_configs(given)):
        where = f"resource.perInstanceConfigs[{index}]"
        member = _unchanged(context, group, config, where)
        state = f"{where}.preservedState"
        changes = checked_state(context, group, config.get("preservedState", {}), state)
        path = f"perInstanceConfigs.{index}.preservedState"
        before = {} if path in cleared else member.private.get("config") or {}
        merged = {kind: _merged(before, changes, kind, path, cleared) for kind in _KINDS}
        kept = {kind: values for kind, values in merged.items() if values}
        context.store.put(member.kept(config=kept))
    return context.begin(group, "instanceGroupManagers.kick")


def _merged(before: Json, changes: Json, kind: str, path: str, cleared: frozenset[str]) -> Json:
    here = f"{path}.{kind}"
    old = {} if here in cleared else before.get(kind, {})
    values = {**old, **changes.get(kind, {})}
    return {key: value for key, value in values.items() if f"{here}.{key}" not in cleared}


def _configs(given: Json) -> list[Json]:
    configs: list[Json] = given.get("perInstanceConfigs", [])
    if not configs:
        raise errors.required("resource.perInstanceConfigs")
    return configs


def _unchanged(context: Context, group: Record, config: Json, where: str) -> Record:
    """The member that a config is for; raises 412 when its config is not the one that was read."""
    member = _member(context, group, config.get("name"), where)
    current = member.private.get("config")
    read = config.get("fingerprint")
    if read and read != fingerprint(current or {}):
        raise errors.condition_not_met("Supplied fingerprint does not match current fingerprint.")
    return member


def delete(context: Context, group: Record, given: Json) -> Record:
    """Remove the configs of instances."""
    names = given.get("names", [])
    if not names:
        raise errors.required("resource.names")
    for index, name in enumerate(names):
        member = _member(context, group, name, f"resource.names[{index}]")
        context.store.put(member.kept(config=None))
    return context.begin(group, "instanceGroupManagers.kick")


def listed(context: Context, group: Record) -> list[Json]:
    """The configs of a group, by the name of the instance."""
    found = []
    for member in group_members.all_of(context.core, group):
        config = member.private.get("config")
        if config is not None:
            shown: Json = {"name": member.name, "preservedState": config, "status": "EFFECTIVE"}
            found.append({**shown, "fingerprint": fingerprint(config)})
    return sorted(found, key=lambda config: str(config["name"]))


def _member(context: Context, group: Record, name: object, where: str) -> Record:
    scope = group_members.scope_of(group)
    found = context.store.get(group_members.KIND, group.project, scope, str(name))
    if found is None:
        text = f"The instance is not a member of '{group.path}'."
        raise errors.invalid(f"{where}.name" if name else where, name, text)
    return found


def checked_state(context: Context, group: Record, state: Json, where: str) -> Json:
    """The state of a config, `where` in the request; raises 400 and 404 for what it names."""
    limits.refuse_others(state, _KINDS, where)
    disks: Json = {}
    for device, disk in state.get("disks", {}).items():
        source = f"{where}.disks.{device}.source"
        if not disk.get("source"):
            raise errors.required(source)
        record = context.at(context.link(disk["source"], source))
        rule = {"autoDelete": "NEVER", "mode": "READ_WRITE", **disk}
        disks[device] = {**rule, "source": record.link}
    found: Json = {"disks": disks} if disks else {}
    if state.get("metadata"):
        found["metadata"] = dict(state["metadata"])
    for kind in ("internalIPs", "externalIPs"):
        if state.get(kind):
            found[kind] = _addresses(context, group, state[kind], f"{where}.{kind}")
    return found


def _addresses(context: Context, group: Record, given: Json, where: str) -> Json:
    """The reserved addresses of a config, by interface; each by its link or its value."""
    region = context.region or links.last(group.scope)
    own = context.store.all("addresses", group.project, f"regions/{region}")
    found: Json = {}
    for nic, rule in given.items():
        field = f"{where}.{nic}.ipAddress"
        if nic != "nic0":
            raise errors.invalid(where, nic, "Instances have one interface, nic0.")
        asked = rule.get("ipAddress", {})
        link, literal = asked.get("address"), asked.get("literal")
        if link:
            own = [context.at(context.link(link, f"{field}.address"))]
        values = (one for one in own if literal in {None, one.body.get("address")})
        record = next(values, None) if link or literal else None
        if record is None or record.kind != "addresses":
            text = f"No reserved address of {region} has that value: reserve it first."
            raise errors.invalid(f"{field}.literal", literal or "", text)
        shown = {"address": record.link, "literal": record.body["address"]}
        found[nic] = {"autoDelete": rule.get("autoDelete", "NEVER"), "ipAddress": shown}
    return found
