"""What an update from one template to another requires, and the insert of a member."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import links
from localgce.core.errors import Json, not_found

if TYPE_CHECKING:
    from localgce.core.store import Record, Store
    from localgce.groups.plan import Version

_REFRESHED = ("metadata", "labels", "tags")
_RESTARTED = ("machineType",)


def properties(store: Store, project: str, link: str) -> Json:
    """The properties of a template; raises 404 when it is gone."""
    found = _at(store, project, link)
    if found is None:
        raise not_found(_parsed(project, link).path)
    given: Json = found.body["properties"]
    return given


def needs(store: Store, project: str, old: Version, new: Version) -> str:
    """NONE, REFRESH, RESTART or REPLACE: the least disruptive action for this update."""
    if old.template == new.template:
        return "NONE"
    found = [_at(store, project, one.template) for one in (old, new)]
    before, after = (record.body["properties"] if record else {} for record in found)
    changed = {k for k in {*before, *after} if before.get(k) != after.get(k)}
    if not changed <= {*_REFRESHED, *_RESTARTED}:
        return "REPLACE"
    if not changed <= {*_REFRESHED}:
        return "RESTART"
    return "REFRESH" if changed else "NONE"


def _at(store: Store, project: str, link: str) -> Record | None:
    return store.at(_parsed(project, link))


def _parsed(project: str, link: str) -> links.Link:
    """A template's link: global, or of a region."""
    return links.parse(link, project=project, field="instanceTemplate")


def metadata(group: Record, given: Json, template: str) -> Json:
    """A template's metadata, with the keys that a group adds."""
    base = f"projects/{group.project}"
    more = {
        **group.body.get("allInstancesConfig", {}).get("properties", {}).get("metadata", {}),
        "instance-template": _parsed(group.project, template).path,
        "created-by": f"{base}/{group.scope}/instanceGroupManagers/{group.name}",
    }
    items = [item for item in given.get("metadata", {}).get("items", []) if item["key"] not in more]
    return {"items": [*items, *({"key": k, "value": v} for k, v in more.items())]}


def labels(group: Record, given: Json) -> dict[str, str]:
    """A template's labels, and those of the group's `allInstancesConfig`."""
    config = group.body.get("allInstancesConfig", {}).get("properties", {})
    return {**given.get("labels", {}), **config.get("labels", {})}


def merged(policy: Json, config: Json) -> Json:
    """What is preserved of a member: by the policy, and by its config, which comes before it."""
    disks = {**policy.get("disks", {}), **config.get("disks", {})}
    kept = {key: value for key, value in policy.items() if key != "disks"}
    for kind in ("internalIPs", "externalIPs"):
        if config.get(kind):
            kept[kind] = {**policy.get(kind, {}), **config[kind]}
    if config.get("metadata"):
        kept["metadata"] = config["metadata"]
    return {**kept, "disks": disks} if disks else kept


def insert_body(group: Record, given: Json, name: str, template: str, preserved: Json) -> Json:
    """The body of instances.insert for a member, with what is preserved."""
    body: Json = {
        "name": name,
        "metadata": _with_items(metadata(group, given, template), preserved.get("metadata", {})),
        "labels": labels(group, given),
        "networkInterfaces": _interfaces(given, preserved),
    }
    kept = preserved.get("disks", {})
    disks = [
        _kept_disk(disk, kept[device]) if device in kept else disk
        for index, disk in enumerate(given.get("disks", []))
        for device in [disk.get("deviceName") or f"persistent-disk-{index}"]
    ]
    there = {d.get("deviceName") or f"persistent-disk-{i}" for i, d in enumerate(disks)}
    disks += [
        {"deviceName": device, "source": disk["source"], "autoDelete": False}
        for device, disk in kept.items()
        if device not in there
    ]
    return {**body, "disks": disks} if disks else body


def _with_items(metadata: Json, own: dict[str, str]) -> Json:
    items = [item for item in metadata["items"] if item["key"] not in own]
    return {"items": [*items, *({"key": key, "value": value} for key, value in own.items())]}


def _kept_disk(disk: Json, kept: Json) -> Json:
    there = {k: v for k, v in disk.items() if k != "initializeParams"}
    return {**there, "source": kept["source"], "autoDelete": False}


def _interfaces(given: Json, preserved: Json) -> list[Json]:
    nics: list[Json] = given.get("networkInterfaces", [])
    internal = preserved.get("internalIPs", {}).get("nic0", {}).get("ipAddress", {})
    external = preserved.get("externalIPs", {}).get("nic0", {}).get("ipAddress", {})
    if not nics:
        return nics
    nic = dict(nics[0])
    if internal:
        nic["networkIP"] = internal["literal"]
    if external and nic.get("accessConfigs"):
        nic["accessConfigs"] = [{**nic["accessConfigs"][0], "natIP": external["literal"]}]
    return [nic]
