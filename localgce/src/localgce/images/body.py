"""From the body of images.insert to the image, and from its source to its layer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from localgce import errors
from localgce.clock import stamp
from localgce.disks import body as disk_body
from localgce.errors import ApiError, Json, OperationError
from localgce.http.call import Call
from localgce.resources import limits, links
from localgce.resources.ids import numeric_id
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.service import Service

INHERITED = ("licenses", "architecture", "guestOsFeatures")
_SOURCES = ("sourceDisk", "sourceImage", "sourceSnapshot", "rawDisk")
_KEPT = (
    "description",
    "family",
    "guestOsFeatures",
    "licenses",
    "architecture",
    "imageEncryptionKey",
    "shieldedInstanceInitialState",
)
_NAME = re.compile(r"^(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)\Z")
_TIME = re.compile(r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?\Z")


def check_family(body: Json) -> None:
    """Raises 400 for a family that is no name; none, or an empty one, is none."""
    family = body.get("family", "")
    if family and not _NAME.match(family):
        problem = f"Must be a match of regex '{_NAME.pattern[1:-2]}'"
        raise errors.invalid("resource.family", family, problem)


def plan(call: Call, body: Json) -> Record:
    """The image to be, status PENDING; raises Google's 400s and 404s."""
    limits.check_labels(body.get("labels", {}))
    check_family(body)
    given = [name for name in _SOURCES if name in body]
    if len(given) != 1:
        text = "Exactly one of sourceDisk, sourceImage, sourceSnapshot or rawDisk.source is needed."
        raise errors.invalid("resource", ", ".join(given), text)
    source = _source(call, body, given[0])
    now = call.service.clock.now()
    path = f"projects/{call.project}/global/images/{body['name']}"
    least = int(source.body.get("diskSizeGb") or source.body["sizeGb"])
    shown: Json = {
        "kind": "compute#image",
        "id": numeric_id(),
        "creationTimestamp": stamp(now),
        "name": body["name"],
        "selfLink": links.url(path),
        "sourceType": "RAW",
        "status": "PENDING",
        "archiveSizeBytes": "0",
        "diskSizeGb": str(max(least, int(body.get("diskSizeGb", 0)))),
        given[0]: source.link,
        f"{given[0]}Id": source.id,
        "storageLocations": body.get("storageLocations") or ["us"],
        "enableConfidentialCompute": False,
        **limits.label_fields(body.get("labels")),
        **{key: source.body[key] for key in INHERITED if key in source.body},
        **{key: body[key] for key in _KEPT if key in body},
    }
    private = {
        "layer": shown["id"],
        "at": now,
        "source": [source.kind, source.project, source.scope, source.name],
    }
    return Record("images", call.project, "global", body["name"], shown, private)


def _source(call: Call, body: Json, field: str) -> Record:
    where = f"resource.{field}"
    if field == "rawDisk":
        text = "localgce imports no files: use sourceDisk, sourceImage or sourceSnapshot."
        raise errors.invalid(where, body["rawDisk"].get("source", ""), text)
    if field == "sourceImage":
        return disk_body.image_at(call, body[field], where)
    source = call.at(call.link(body[field], where))
    if source.kind not in {"disks", "snapshots"}:
        raise errors.invalid(where, body[field], "The URL is malformed.")
    if field == "sourceDisk":
        _check_disk(call, source)
    return source


def _check_disk(call: Call, disk: Record) -> None:
    if disk.body["status"] != "READY":
        raise errors.not_ready(disk.path)
    user = running_user(call.service, disk)
    if user is not None and not call.query.get("forceCreate"):
        raise errors.in_use(disk.path, user.path)


def running_user(service: Service, disk: Record) -> Record | None:
    """The instance that has the disk and is not off."""
    for link in disk.body.get("users", []):
        where = links.parse(link, project=disk.project, field="users")
        instance = service.store.get("instances", where.project, where.scope, where.name)
        if instance is not None and instance.body["status"] != "TERMINATED":
            return instance
    return None


async def make_layer(service: Service, image: Record) -> int:
    """The layer of an image, snapshot or saved disk; its size in bytes. Safe to repeat."""
    kind, project, scope, name = image.private["source"]
    source = service.store.get(kind, project, scope, name)
    if source is None:
        raise OperationError("RESOURCE_NOT_FOUND", f"The source '{name}' is gone", 404)
    if kind == "disks":
        return await layer_of_disk(service, source, image.id)
    await service.public_images.ready(source)
    disks = service.host.disks
    scratch = f"{image.id}-source"
    await disks.create_from_layer(scratch, source.private["layer"], int(image.body["diskSizeGb"]))
    size = await disks.freeze(scratch, image.id)
    await disks.delete_disk(scratch)
    return size


async def layer_of_disk(service: Service, disk: Record, layer: str) -> int:
    """Freeze a disk at rest; copy one of a running machine while that stands still."""
    user = running_user(service, disk)
    machine = service.lifecycle.find(user) if user else None
    if machine is None or not machine.running:
        return await service.host.disks.freeze(disk.id, layer)
    await machine.pause()
    try:
        return await service.host.disks.copy(disk.id, layer)
    finally:
        current = service.store.again(user) if user else None
        if current is not None and current.body["status"] != "SUSPENDED":
            await machine.resume()


def check_time(value: str, field: str) -> None:
    """RFC 3339, or only a date, or without a zone, as `images.deprecate` allows."""
    if not _TIME.match(value):
        raise ApiError(400, "invalid", f"Invalid value for field '{field}': '{value}'. Not a time.")
