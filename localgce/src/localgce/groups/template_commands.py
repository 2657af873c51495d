"""The commands on instance templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import catalog, crud, errors, limits, links
from localgce.disks.attachments import disk_of
from localgce.instances import local_ssds, templates, validation

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record, Store

_COPIED = ("type", "mode", "deviceName", "boot", "autoDelete", "interface")


def insert(context: Context, body: Json) -> Record:
    """Create a template of properties or of an instance; checks what does not need a zone."""
    properties = body.get("properties")
    if "sourceInstance" in body:
        properties = _of_instance(context, body)
    if properties is None:
        raise errors.required("resource.properties")
    _check(properties)
    properties = _canonical(properties)
    kind, collection = "instanceTemplate", "instanceTemplates"
    record = crud.new(context, kind, collection, body, properties=properties)
    return crud.begin_insert(context, record)


def delete(context: Context, template: Record) -> Record:
    """Delete a template unless a group uses it; its instances stay."""
    for group in context.store.all("instanceGroupManagers", context.project):
        if any(v["instanceTemplate"] == template.link for v in group.body["versions"]):
            raise errors.in_use(template.path, group.path)
    return crud.begin_delete(context, template)


def _check(properties: Json) -> None:
    where = "resource.properties"
    limits.check_labels(properties.get("labels", {}), f"{where}.labels")
    limits.check_metadata(properties.get("metadata", {}).get("items", []), f"{where}.metadata")
    limits.check_tags(properties.get("tags", {}).get("items", []), f"{where}.tags")
    kind = properties.get("machineType")
    if not kind:
        raise errors.required(f"{where}.machineType")
    if "/" in kind:
        text = "A template names a machine type without its zone."
        raise errors.invalid(f"{where}.machineType", kind, text)
    if sum(bool(disk.get("boot")) for disk in properties.get("disks", [])) != 1:
        raise errors.invalid(f"{where}.disks", "", "Exactly one disk must be the boot disk.")
    if not properties.get("networkInterfaces"):
        text = "At least one network interface is required."
        raise errors.invalid(f"{where}.networkInterfaces", "", text)


def _canonical(properties: Json) -> Json:
    """The properties as Compute Engine answers them, so that a second plan finds no difference."""
    shown: Json = {
        **properties,
        "disks": [_shown_disk(disk, index) for index, disk in enumerate(properties["disks"])],
        "networkInterfaces": [
            _shown_interface(nic, index)
            for index, nic in enumerate(properties["networkInterfaces"])
        ],
        "metadata": limits.metadata(properties.get("metadata")),
        "scheduling": validation.scheduling(properties.get("scheduling", {})),
    }
    if "tags" in properties:
        shown["tags"] = validation.tags(properties["tags"], "resource.properties.tags")
    return shown


def _shown_disk(disk: Json, index: int) -> Json:
    if local_ssds.is_local(disk):  # each instance names its own
        shared: Json = {"kind": "compute#attachedDisk", "mode": "READ_WRITE", "boot": False}
        return {**shared, "autoDelete": True, "interface": "SCSI", **disk, "index": index}
    return {
        "kind": "compute#attachedDisk",
        "type": "PERSISTENT",
        "mode": "READ_WRITE",
        "boot": False,
        "autoDelete": False,
        "deviceName": f"persistent-disk-{index}",
        **disk,
        "index": index,
    }


def _shown_interface(nic: Json, index: int) -> Json:
    shown: Json = {"kind": "compute#networkInterface", "name": f"nic{index}", **nic}
    configs = [
        {
            "kind": "compute#accessConfig",
            "name": "External NAT",
            "type": "ONE_TO_ONE_NAT",
            "networkTier": "PREMIUM",
            **config,
        }
        for config in nic.get("accessConfigs", [])
    ]
    return {**shown, "accessConfigs": configs} if configs else shown


def _of_instance(context: Context, body: Json) -> Json:
    """The properties of an instance, whose disks become new ones from their images, or blank."""
    where = "resource.sourceInstance"
    if "sourceInstanceParams" in body:
        text = "localgce makes disks of their images: change the properties of the template."
        raise errors.invalid("resource.sourceInstanceParams", "", text)
    source = body["sourceInstance"]
    instance = context.at(context.link(source, where))
    if instance.kind != "instances":
        raise errors.invalid(where, source, "The URL is malformed.")
    disks = [_disk(context.store, disk) for disk in instance.body["disks"]]
    return {**templates.properties_of(instance), "disks": disks}


def _disk(store: Store, entry: Json) -> Json:
    params = {"diskSizeGb": entry["diskSizeGb"]}
    if local_ssds.is_local(entry):
        params["diskType"] = catalog.LOCAL_SSD
    disk = disk_of(store, entry)
    if disk is not None:
        params["diskType"] = links.last(disk.body["type"])
        if "sourceImage" in disk.body:
            params["sourceImage"] = disk.body["sourceImage"]
    return {**{key: entry[key] for key in _COPIED}, "initializeParams": params}
