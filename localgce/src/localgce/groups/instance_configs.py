"""Per-instance configs: the state that a group preserves of one instance alone.

A config is kept in its member's `private["config"]`, a PreservedState, which may be empty; a member
without a config has None there. It counts from the next time that the group makes the instance; its
disks are kept from the moment it is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import errors
from localgce.core.ids import fingerprint
from localgce.groups import members as group_members

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record


def update(context: Context, group: Record, given: Json) -> Record:
    """Set the configs of instances; each replaces the one that the instance has."""
    configs = given.get("perInstanceConfigs", [])
    if not configs:
        raise errors.required("resource.perInstanceConfigs")
    for index, config in enumerate(configs):
        member = _member(
            context, group, config.get("name"), f"resource.perInstanceConfigs[{index}]"
        )
        where = f"resource.perInstanceConfigs[{index}].preservedState"
        state = checked_state(context, config.get("preservedState", {}), where)
        context.store.put(member.kept(config=state))
    return context.begin(group, "instanceGroupManagers.kick")


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


def checked_state(context: Context, state: Json, where: str) -> Json:
    """The state of a config, `where` in the request; raises 400 and 404 for its disks."""
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
    return found
