"""Instance groups: each is that of a managed instance group."""

from __future__ import annotations

from localgce import errors
from localgce.errors import Json
from localgce.groups import members as group_members
from localgce.http.call import Call
from localgce.http.listing import aggregated, list_of
from localgce.resources import catalog, links
from localgce.resources.ids import fingerprint
from localgce.state.store import Record

_MANAGERS = "instanceGroupManagers"


def get(call: Call) -> Json:
    """One group."""
    return _shown(call, _manager(call))


def list_(call: Call) -> Json:
    """Those of a zone."""
    found = call.service.store.all(_MANAGERS, call.project, call.scope)
    return list_of(call, "instanceGroup", [_shown(call, record) for record in found])


def aggregated_list(call: Call) -> Json:
    """Those of all zones."""
    found = [_shown(call, record) for record in call.service.store.all(_MANAGERS, call.project)]
    scopes = [f"zones/{zone}" for zone in catalog.zones()]
    return aggregated(call, "instanceGroup", found, scopes)


def list_instances(call: Call) -> Json:
    """The group's instances; with `instanceState` RUNNING only those that run."""
    group = _manager(call)
    found = []
    for member in group_members.all_of(call.service, group):
        instance = group_members.instance_of(call.service, member)
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
    name = call.path["instanceGroup"]
    found = call.service.store.get(_MANAGERS, call.project, call.scope, name)
    if found is None:
        path = f"projects/{call.project}/{call.scope}/instanceGroups/{name}"
        raise errors.not_found(path)
    return found


def _shown(call: Call, group: Record) -> Json:
    path = f"projects/{group.project}/global/networks/default"
    members = group_members.all_of(call.service, group)
    size = sum(group_members.instance_of(call.service, m) is not None for m in members)
    manager = f"projects/{group.project}/{group.scope}/{_MANAGERS}/{group.name}"
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
