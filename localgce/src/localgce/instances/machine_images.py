"""The commands on machine images: an instance's properties with the contents of all its disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import errors, limits, links
from localgce.core.clock import timestamp
from localgce.core.ids import numeric_id
from localgce.core.store import Record
from localgce.instances import local_ssds, templates

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json


_KEPT = ("description", "guestFlush", "params")
_KNOWN = {
    *_KEPT,
    *("kind", "name", "labels", "labelFingerprint", "sourceInstance", "storageLocations"),
    "machineImageEncryptionKey",
}


def insert(context: Context, source_instance: str | None, body: Json) -> Record:
    """Create a machine image of an instance, running or stopped."""
    context.refuse_existing("machineImages", body["name"])
    limits.refuse_others(body, _KNOWN, "resource")
    key = "machineImageEncryptionKey"
    limits.check_encryption_key(body.get(key), f"resource.{key}")
    where = "resource.sourceInstance"
    if not source_instance:
        raise errors.required(where)
    instance = context.at(context.link(source_instance, where))
    if instance.kind != "instances":
        raise errors.invalid(where, source_instance, "The URL is malformed.")
    if instance.body["status"] not in {"RUNNING", "TERMINATED", "SUSPENDED"}:
        raise errors.not_ready(instance.path)
    image = _record(context, instance, body)
    context.store.put(image)
    return context.begin(image, "machineImages.insert")


def delete(context: Context, image: Record) -> Record:
    """Delete a machine image; instances created from it stay."""
    if image.body["status"] != "READY":
        raise errors.not_ready(image.path)
    return context.begin(image, "machineImages.delete")


def _record(context: Context, instance: Record, given: Json) -> Record:
    name = str(given["name"])
    number = numeric_id()
    path = f"projects/{context.project}/global/machineImages/{name}"
    properties = templates.properties_of(instance)
    disks = [disk for disk in instance.body["disks"] if not local_ssds.is_local(disk)]
    properties["disks"] = [_disk(disk) for disk in disks]
    limits.check_labels(given.get("labels", {}))
    body: Json = {
        "kind": "compute#machineImage",
        "id": number,
        "creationTimestamp": timestamp(context.now()),
        "name": name,
        "selfLink": links.url(path),
        "status": "CREATING",
        "sourceInstance": instance.link,
        "instanceProperties": properties,
        "sourceInstanceProperties": {},
        "savedDisks": [
            {"kind": "compute#savedDisk", "sourceDisk": disk["source"], "storageBytes": "0"}
            for disk in disks
        ],
        "storageLocations": given.get("storageLocations") or ["us"],
        "totalStorageBytes": "0",
        **limits.label_fields(given.get("labels")),
        **{key: given[key] for key in _KEPT if key in given},
        **limits.shown_keys(given, "machineImageEncryptionKey"),
    }
    layers = {d["deviceName"]: f"{number}-{i}" for i, d in enumerate(disks)}
    private = {"layers": layers, "instance": instance.id}
    return Record("machineImages", context.project, "global", name, body, private)


def _disk(disk: Json) -> Json:
    kept = ("type", "mode", "deviceName", "boot", "autoDelete", "interface", "diskSizeGb", "index")
    return {"kind": "compute#attachedDisk", **{key: disk[key] for key in kept}}
