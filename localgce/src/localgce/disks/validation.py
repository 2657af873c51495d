"""From the body of disks.insert to the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localgce.core import catalog, errors, limits, links
from localgce.core.clock import timestamp
from localgce.core.ids import numeric_id
from localgce.core.store import Record
from localgce.disks import replication
from localgce.images.lookup import image_at

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json

_DEFAULT_GB = 500
_MAX_GB = 65536
SAVED = ("sourceMachineImage", "sourceMachineImageDiskDeviceName")
_INHERITED = ("licenses", "architecture", "guestOsFeatures")


_KEPT = (
    *("description", "guestOsFeatures", "licenses", "architecture", "accessMode"),
    *("provisionedIops", "provisionedThroughput", "locationHint", "options"),
)
_KEYS = ("diskEncryptionKey", "sourceImageEncryptionKey", "sourceSnapshotEncryptionKey")
_KNOWN = {
    *_KEPT,
    *_KEYS,
    *("kind", "name", "zone", "sizeGb", "type", "labels", "labelFingerprint", "resourcePolicies"),
    *("sourceImage", "sourceSnapshot", "sourceDisk", "physicalBlockSizeBytes", "params", *SAVED),
    *("status", "licenseCodes", "region", "replicaZones", "asyncPrimaryDisk"),
}


def plan(context: Context, body: Json, *, where: str = "resource") -> Record:
    """The disk in status CREATING; raises Compute Engine's 400s, 404s and 409."""
    name = str(body["name"])
    context.refuse_existing("disks", name)
    limits.refuse_others(body, _KNOWN, where)
    limits.check_labels(body.get("labels", {}), f"{where}.labels")
    limits.check_description(body.get("description", ""), f"{where}.description")
    for key in _KEYS:
        limits.check_encryption_key(body.get(key), f"{where}.{key}")
    path = f"{context.base}/disks/{name}"
    source_fields, source = _source(context, body, where)
    kind = _type(context, body, where)
    replicated = replication.secondary_fields(context, body, where)
    if replicated:
        body = {**body, "sizeGb": replicated["sizeGb"]}
    shown: Json = {
        "kind": "compute#disk",
        "id": numeric_id(),
        "creationTimestamp": timestamp(context.now()),
        "name": name,
        "sizeGb": str(_size(body, source, where, kind.rsplit("/", 1)[-1])),
        "status": "CREATING",
        "type": kind,
        **_place(context, body, where),
        "selfLink": links.url(path),
        "physicalBlockSizeBytes": body.get("physicalBlockSizeBytes", "4096"),
        "enableConfidentialCompute": False,
        **limits.label_fields(body.get("labels")),
        **source_fields,
        **replicated,
        **{key: body[key] for key in _KEPT if key in body},
        **limits.shown_keys(body, *_KEYS),
    }
    if body.get("resourcePolicies"):
        field, given = f"{where}.resourcePolicies", body["resourcePolicies"]
        shown["resourcePolicies"] = [context.at(context.link(p, field)).link for p in given]
    wanted = {"DISKS_TOTAL_GB": float(shown["sizeGb"])}
    context.core.quotas.check(context.project, context.region, wanted)
    device = body.get("sourceMachineImageDiskDeviceName", "")
    private: Json = {}
    if source is not None:
        private["source"] = [source.kind, source.project, source.name, device, source.scope]
    return Record("disks", context.project, context.scope, name, shown, private)


def _place(context: Context, body: Json, where: str) -> Json:
    """The zone of a disk, or its region and the two zones that have a copy."""
    field = f"{where}.replicaZones"
    given = body.get("replicaZones", [])
    if context.zone:
        if given:
            raise errors.invalid(field, ", ".join(given), "A disk of a zone has no replicas.")
        return {"zone": links.url(context.base)}
    zones = [links.last(zone) for zone in given]
    known = {zone for zone in catalog.zones() if catalog.region_of(zone) == context.region}
    if len(zones) != 2 or len({*zones} & known) != 2:
        text = f"Exactly two different zones of {context.region} are needed."
        raise errors.invalid(field, ", ".join(given), text)
    return {
        "region": links.url(context.base),
        "replicaZones": [links.url(f"projects/{context.project}/zones/{zone}") for zone in zones],
    }


def zones_of(disk: Record) -> set[str]:
    """Where a disk can be attached: `zones/Z`, or both zones of a regional one."""
    replicas = disk.body.get("replicaZones", [])
    return {f"zones/{links.last(zone)}" for zone in replicas} or {disk.scope}


def _source(context: Context, body: Json, where: str) -> tuple[Json, Record | None]:
    """The fields that name the source, and the source itself."""
    given = [key for key in ("sourceImage", "sourceSnapshot", "sourceDisk") if key in body]
    if len(given) > 1:
        raise errors.invalid(f"{where}.{given[1]}", body[given[1]], "Two sources.")
    if "sourceDisk" in body:
        return _cloned(context, body, where)
    if "sourceMachineImage" in body:
        return _saved(context, body, where)
    if "sourceImage" in body:
        image = image_at(context, body["sourceImage"], f"{where}.sourceImage")
        return {"sourceImage": image.link, "sourceImageId": image.id, **_inherit(image)}, image
    if "sourceSnapshot" in body:
        snapshot = context.at(context.link(body["sourceSnapshot"], f"{where}.sourceSnapshot"))
        if snapshot.kind != "snapshots":
            text = "The URL is malformed."
            raise errors.invalid(f"{where}.sourceSnapshot", body["sourceSnapshot"], text)
        fields = {"sourceSnapshot": snapshot.link, "sourceSnapshotId": snapshot.id}
        return {**fields, **_inherit(snapshot)}, snapshot
    return {}, None


def _cloned(context: Context, body: Json, where: str) -> tuple[Json, Record]:
    """A clone has the content that the disk has when the operation runs.

    A regional disk may be the clone of a zonal one, in one of its zones.
    """
    disk = context.at(context.link(body["sourceDisk"], f"{where}.sourceDisk"))
    own = {f"zones/{links.last(zone)}" for zone in body.get("replicaZones", [])}
    if disk.kind != "disks" or disk.scope not in {context.scope, *own}:
        text = "The source disk is not where the new disk is."
        raise errors.invalid(f"{where}.sourceDisk", body["sourceDisk"], text)
    if disk.body["status"] != "READY":
        raise errors.not_ready(disk.path)
    return {"sourceDisk": disk.link, "sourceDiskId": disk.id, **_inherit(disk)}, disk


def _saved(context: Context, body: Json, where: str) -> tuple[Json, Record]:
    link = context.link(body["sourceMachineImage"], f"{where}.sourceMachineImage")
    image = context.at(link)
    device = body.get("sourceMachineImageDiskDeviceName", "")
    if image.kind != "machineImages" or device not in image.private["layers"]:
        field = f"{where}.sourceMachineImageDiskDeviceName"
        raise errors.invalid(field, device, "There is no saved disk of that device name.")
    fields = {"sourceMachineImage": image.link, "sourceMachineImageId": image.id}
    return {**fields, "sourceMachineImageDiskDeviceName": device}, image


def _inherit(source: Record) -> Json:
    return {key: source.body[key] for key in _INHERITED if key in source.body}


def _size(body: Json, source: Record | None, where: str, kind: str) -> int:
    shown: Json = source.body if source else {}
    least = int(shown.get("diskSizeGb") or shown.get("sizeGb", 1))
    given: Any = body.get("sizeGb")
    size = int(given) if given is not None else (least if source else _DEFAULT_GB)
    field = f"{where}.{'sizeGb' if where == 'resource' else 'diskSizeGb'}"
    smallest = catalog.least_disk_gb(kind)
    if not smallest <= size <= _MAX_GB:
        text = f"Disk size must be between {smallest} GB and {_MAX_GB} GB."
        raise errors.invalid(field, size, text)
    if size < least:
        text = f"Requested disk size cannot be smaller than the image size ({least} GB)"
        raise errors.invalid(field, size, text)
    return size


def _type(context: Context, body: Json, where: str) -> str:
    field = f"{where}.{'type' if where == 'resource' else 'diskType'}"
    default = f"{context.scope}/diskTypes/pd-standard"
    link = context.link(body.get("type", default), field)
    known = link.collection == "diskTypes" and link.name in catalog.disk_types(context.scope)
    if link.name == catalog.LOCAL_SSD:
        text = "A local SSD is made with its instance, as a disk of the type SCRATCH."
        raise errors.invalid(field, body.get("type"), text)
    if not known or link.scope != context.scope:
        text = "The referenced diskType resource cannot be found."
        raise errors.invalid(field, body.get("type"), text)
    return links.url(f"{context.base}/diskTypes/{link.name}")
