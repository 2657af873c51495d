"""Instance groups: each belongs to a managed instance group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import catalog, errors, links
from localgce.core.ids import fingerprint
from localgce.groups import members as group_members
from localgce.groups.commands import KIND as MANAGERS
from localgce.http.listing import list_of, zonal

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.errors import Json
    from localgce.core.store import Record


@method("compute.instanceGroups.get")
def get(call: Call) -> Json:
    """One group."""
    return _shown(call.context.core, _manager(call))


@method("compute.instanceGroups.list")
def list_(call: Call) -> Json:
    """The groups of a zone."""
    context = call.context
    found = context.store.all(MANAGERS, context.project, context.scope)
    return list_of(call, "instanceGroup", [_shown(context.core, record) for record in found])


@method("compute.instanceGroups.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """The groups of all zones."""
    context = call.context
    found = context.store.all(MANAGERS, context.project)
    return zonal(call, "instanceGroup", [_shown(context.core, record) for record in found])


@method("compute.instanceGroups.listInstances")
def list_instances(call: Call) -> Json:
    """The group's instances; with `instanceState` RUNNING only the running ones."""
    core, group = call.context.core, _manager(call)
    found = []
    for member in group_members.all_of(core, group):
        instance = group_members.instance_of(core, member)
        if instance is None:
            continue
        status = instance.body["status"]
        if call.body.get("instanceState", "ALL") in {"ALL", status}:
            found.append({"name": member.name, "instance": instance.link, "status": status})
    shown = list_of(call, "instanceGroups", found)
    items = [{k: v for k, v in item.items() if k != "name"} for item in shown.pop("items", [])]
    path = f"projects/{group.project}/{group.scope}/instanceGroups/{group.name}/listInstances"
    shown = {**shown, "kind": "compute#instanceGroupsListInstances", "id": path}
    return {**shown, "selfLink": links.url(path), **({"items": items} if items else {})}


def _manager(call: Call) -> Record:
    context, name = call.context, call.path["instanceGroup"]
    found = context.store.get(MANAGERS, context.project, context.scope, name)
    if found is None:
        raise errors.not_found(f"{context.base}/instanceGroups/{name}")
    return found


def _shown(core: Core, group: Record) -> Json:
    path = f"projects/{group.project}/global/networks/default"
    members = group_members.all_of(core, group)
    size = sum(group_members.instance_of(core, m) is not None for m in members)
    manager = f"projects/{group.project}/{group.scope}/{MANAGERS}/{group.name}"
    return {
        "kind": "compute#instanceGroup",
        "id": catalog.fixed_id(f"{manager}/{group.id}"),
        "creationTimestamp": group.body["creationTimestamp"],
        "name": group.name,
        "description": f"This instance group is controlled by Instance Group Manager '{manager}'.",
        "fingerprint": fingerprint(group.body.get("namedPorts", [])),
        "namedPorts": group.body.get("namedPorts", []),
        "network": links.url(path),
        "selfLink": group.body["instanceGroup"],
        "size": size,
        "zone": group.body["zone"],
    }
