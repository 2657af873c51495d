"""Unmanaged instance groups: a list of instances that somebody else creates and deletes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import catalog, crud, errors
from localgce.core.ids import fingerprint

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record, Store

KIND = "instanceGroups"


def insert(context: Context, body: Json) -> Record:
    """Create an empty group; raises 409 when a managed group has the name."""
    context.refuse_existing("instanceGroupManagers", str(body["name"]))
    ports = body.get("namedPorts", [])
    more: Json = {"namedPorts": ports, "fingerprint": fingerprint(ports), "size": 0}
    record = crud.new(context, "instanceGroup", KIND, body, **more)
    return crud.begin_insert(context, record.kept(members=[]))


def delete(context: Context, group: Record) -> Record:
    """Delete the group; its instances stay."""
    return crud.begin_delete(context, group)


def add(context: Context, group: Record, given: list[str]) -> Record:
    """Add instances; raises 400 for one that is there already, of another zone or network."""
    members: list[str] = list(group.private["members"])
    for link in given:
        instance = _instance(context, link)
        if instance.id in members:
            text = f"Instance '{instance.path}' is already a member of '{group.path}'."
            raise errors.invalid("instances", link, text)
        _check_network(context, group, members, instance)
        members.append(instance.id)
    context.store.put(group.kept(members=members))
    return context.begin(group, "kept.insert")


def remove(context: Context, group: Record, given: list[str]) -> Record:
    """Remove instances; raises 400 for one that is no member."""
    members: list[str] = list(group.private["members"])
    for link in given:
        instance = _instance(context, link)
        if instance.id not in members:
            text = f"Instance '{instance.path}' is not a member of '{group.path}'."
            raise errors.invalid("instances", link, text)
        members.remove(instance.id)
    context.store.put(group.kept(members=members))
    return context.begin(group, "kept.insert")


def set_named_ports(context: Context, group: Record, body: Json) -> Record:
    """Replace the ports, of a managed group too; raises 412 for an old fingerprint."""
    own = group.kind == KIND
    current = fingerprint(group.body.get("namedPorts", []))
    if body.get("fingerprint", current) != current:
        raise errors.condition_not_met("Supplied fingerprint does not match current fingerprint.")
    ports = body.get("namedPorts", [])
    changes: Json = {"namedPorts": ports, **({"fingerprint": fingerprint(ports)} if own else {})}
    operation = crud.begin_patch(context, group, changes)
    if own:
        return operation
    link, number = group.body["instanceGroup"], managed_group_id(group)
    return context.core.operations.show_target(operation, link, number)


def managed_group_id(manager: Record) -> str:
    """The id of the instance group that a manager owns."""
    return catalog.fixed_id(f"{manager.path}/{manager.id}")


def instances_of(store: Store, group: Record) -> list[Record]:
    """The members that are still there."""
    found = [store.by_id("instances", member) for member in group.private["members"]]
    return [instance for instance in found if instance is not None]


def _instance(context: Context, link: str) -> Record:
    found = context.at(context.link(link, "instances"))
    if found.kind != "instances" or found.scope != context.scope:
        text = "The instance is not in the group's zone."
        raise errors.invalid("instances", link, text)
    return found


def _check_network(context: Context, group: Record, members: list[str], new: Record) -> None:
    for member in instances_of(context.store, group.kept(members=members))[:1]:
        networks = [r.body["networkInterfaces"][0]["network"] for r in (member, new)]
        if networks[0] != networks[1]:
            text = "All instances of a group are of one network."
            raise errors.invalid("instances", new.link, text)
