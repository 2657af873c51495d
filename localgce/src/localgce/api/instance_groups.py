"""Instance groups: those of managed instance groups, and unmanaged ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import errors, links
from localgce.core.ids import fingerprint
from localgce.groups import members as group_members
from localgce.groups import templates as group_templates
from localgce.groups import unmanaged
from localgce.groups.commands import KIND as MANAGERS
from localgce.http.listing import list_of, zonal_and_regional

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.errors import Json
    from localgce.core.store import Record


@method("compute.instanceGroups.get", "compute.regionInstanceGroups.get")
def get(call: Call) -> Json:
    """One group."""
    found = _unmanaged(call)
    return _shown_unmanaged(call, found) if found else _shown(call.context.core, _manager(call))


@method("compute.instanceGroups.list", "compute.regionInstanceGroups.list")
def list_(call: Call) -> Json:
    """The groups of a zone, or the managed ones of a region."""
    context = call.context
    found = context.store.all(MANAGERS, context.project, context.scope)
    own = [_shown_unmanaged(call, record) for record in call.records()]
    bodies = [_shown(context.core, record) for record in found]
    return list_of(call, "instanceGroup", [*bodies, *own])


@method("compute.instanceGroups.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """The groups of all zones and regions."""
    context = call.context
    found = context.store.all(MANAGERS, context.project)
    own = [_shown_unmanaged(call, record) for record in call.records(everywhere=True)]
    bodies = [_shown(context.core, record) for record in found]
    return zonal_and_regional(call, "instanceGroup", [*bodies, *own])


@method("compute.instanceGroups.listInstances", "compute.regionInstanceGroups.listInstances")
def list_instances(call: Call) -> Json:
    """The group's instances; with `instanceState` RUNNING only the running ones."""
    group = _unmanaged(call) or _manager(call)
    found = []
    for instance in _instances(call, group):
        status = instance.body["status"]
        if call.body.get("instanceState", "ALL") in {"ALL", status}:
            found.append({"name": instance.name, "instance": instance.link, "status": status})
    shown = list_of(call, "instanceGroups", found)
    items = [{k: v for k, v in item.items() if k != "name"} for item in shown.pop("items", [])]
    path = f"projects/{group.project}/{group.scope}/instanceGroups/{group.name}/listInstances"
    shown = {**shown, "kind": "compute#instanceGroupsListInstances", "id": path}
    return {**shown, "selfLink": links.url(path), **({"items": items} if items else {})}


@method("compute.instanceGroups.insert")
def insert(call: Call) -> Json:
    """Create an unmanaged group, which is empty."""
    return unmanaged.insert(call.context, call.body).body


@method("compute.instanceGroups.delete")
def delete(call: Call) -> Json:
    """Delete an unmanaged group; its instances stay."""
    return unmanaged.delete(call.context, call.record()).body


@method("compute.instanceGroups.addInstances")
def add_instances(call: Call) -> Json:
    """Add instances of the zone and of the group's network."""
    given = [each.get("instance", "") for each in call.body.get("instances", [])]
    return unmanaged.add(call.context, call.record(), given).body


@method("compute.instanceGroups.removeInstances")
def remove_instances(call: Call) -> Json:
    """Remove instances, which stay."""
    given = [each.get("instance", "") for each in call.body.get("instances", [])]
    return unmanaged.remove(call.context, call.record(), given).body


@method("compute.instanceGroups.setNamedPorts", "compute.regionInstanceGroups.setNamedPorts")
def set_named_ports(call: Call) -> Json:
    """Replace the named ports of a group, which for a managed one are those of its manager."""
    group = _unmanaged(call) or _manager(call)
    return unmanaged.set_named_ports(call.context, group, call.body).body


def _unmanaged(call: Call) -> Record | None:
    context, name = call.context, call.path["instanceGroup"]
    return context.store.get(unmanaged.KIND, context.project, context.scope, name)


def _instances(call: Call, group: Record) -> list[Record]:
    if group.kind == unmanaged.KIND:
        return unmanaged.instances_of(call.context.store, group)
    core = call.context.core
    found = [group_members.instance_of(core, m) for m in group_members.all_of(core, group)]
    return [instance for instance in found if instance is not None]


def _shown_unmanaged(call: Call, group: Record) -> Json:
    found = unmanaged.instances_of(call.context.store, group)
    shown: Json = {**group.body, "size": len(found)}
    if found:
        nic = found[0].body["networkInterfaces"][0]
        shown = {**shown, "network": nic["network"], "subnetwork": nic["subnetwork"]}
    return shown


def _manager(call: Call) -> Record:
    context, name = call.context, call.path["instanceGroup"]
    found = context.store.get(MANAGERS, context.project, context.scope, name)
    if found is None:
        raise errors.not_found(f"{context.base}/instanceGroups/{name}")
    return found


def _shown(core: Core, group: Record) -> Json:
    members = group_members.all_of(core, group)
    size = sum(group_members.instance_of(core, m) is not None for m in members)
    manager = f"projects/{group.project}/{group.scope}/{MANAGERS}/{group.name}"
    return {
        "kind": "compute#instanceGroup",
        "id": unmanaged.managed_group_id(group),
        "creationTimestamp": group.body["creationTimestamp"],
        "name": group.name,
        "description": f"This instance group is controlled by Instance Group Manager '{manager}'.",
        "fingerprint": fingerprint(group.body.get("namedPorts", [])),
        "namedPorts": group.body.get("namedPorts", []),
        **_network(core, group),
        "selfLink": group.body["instanceGroup"],
        "size": size,
        **{key: group.body[key] for key in ("zone", "region") if key in group.body},
    }


def _network(core: Core, group: Record) -> Json:
    """`network` and `subnetwork` of a managed group: those of its template's first interface."""
    template = group.body["instanceTemplate"]
    properties = group_templates.properties(core.store, group.project, template)
    nic = properties["networkInterfaces"][0]
    shown: Json = {key: nic[key] for key in ("network", "subnetwork") if key in nic}
    if "network" not in shown and "subnetwork" in shown:
        link = links.parse(shown["subnetwork"], project=group.project, field="subnetwork")
        subnetwork = core.store.at(link)
        shown.update({"network": subnetwork.body["network"]} if subnetwork else {})
    return shown
