"""From the body of disks.insert to the disk, and from image or family links to the image."""

from __future__ import annotations

from typing import Any

from localgce import errors
from localgce.clock import stamp
from localgce.errors import ApiError, Json
from localgce.http.call import Call
from localgce.resources import catalog, limits, links
from localgce.resources.ids import numeric_id
from localgce.state.store import Record

_DEFAULT_GB = 500
_MAX_GB = 65536
SAVED = ("sourceMachineImage", "sourceMachineImageDiskDeviceName")
_INHERITED = ("licenses", "architecture", "guestOsFeatures")


def plan(call: Call, body: Json, *, where: str = "resource") -> Record:
    """The disk to be, status CREATING; raises Google's 400s, 404s and 409."""
    name = str(body["name"])
    call.refuse_existing("disks", name)
    limits.check_labels(body.get("labels", {}), f"{where}.labels")
    path = f"projects/{call.project}/{call.scope}/disks/{name}"
    region = catalog.region_of(call.path["zone"])
    source_fields, source = _source(call, body, where)
    shown: Json = {
        "kind": "compute#disk",
        "id": numeric_id(),
        "creationTimestamp": stamp(call.service.clock.now()),
        "name": name,
        "sizeGb": str(_size(body, source, where)),
        "status": "CREATING",
        "type": _type(call, body, where),
        "zone": links.url(f"projects/{call.project}/{call.scope}"),
        "selfLink": links.url(path),
        "physicalBlockSizeBytes": body.get("physicalBlockSizeBytes", "4096"),
        "enableConfidentialCompute": False,
        **limits.label_fields(body.get("labels")),
        **source_fields,
        **{key: body[key] for key in ("description", "guestOsFeatures", "licenses") if key in body},
    }
    wanted = {"DISKS_TOTAL_GB": float(shown["sizeGb"])}
    call.service.quotas.check(call.project, region, wanted)
    device = body.get("sourceMachineImageDiskDeviceName", "")
    private = {"source": [source.kind, source.project, source.name, device]} if source else {}
    return Record("disks", call.project, call.scope, name, shown, private)


def image_at(call: Call, value: str, where: str) -> Record:
    """The image that a link names: itself, by family, or by `imageFamilyViews` of any zone."""
    link = call.link(value, where)
    if link.collection == "imageFamilyViews":
        return newest(call, link.project, link.name)
    if link.collection != "images" or link.scope != "global":
        raise errors.invalid(where, value, "The URL is malformed.")
    if link.name.startswith("family/"):
        return newest(call, link.project, link.name.removeprefix("family/"))
    found = call.service.store.get("images", link.project, "global", link.name)
    if found is None:
        raise errors.not_found(link.path)
    _refuse_obsolete(found)
    return found


def newest(call: Call, project: str, family: str) -> Record:
    """The family's newest image that is not deprecated; raises 404."""
    images = [
        image
        for image in call.service.store.all("images", project, "global")
        if image.body.get("family") == family
        and image.body.get("deprecated", {}).get("state", "ACTIVE") == "ACTIVE"
        and image.body["status"] not in {"FAILED", "DELETING"}
    ]
    if not images:
        raise errors.not_found(f"projects/{project}/global/images/family/{family}")
    return max(images, key=lambda image: (image.private.get("at", 0), image.id))


def _refuse_obsolete(image: Record) -> None:
    state = image.body.get("deprecated", {}).get("state")
    if state in {"OBSOLETE", "DELETED"}:
        text = f"The image '{image.path}' is {state.lower()} and cannot be used."
        raise ApiError(400, "resourceNotReady", text)


def _source(call: Call, body: Json, where: str) -> tuple[Json, Record | None]:
    """The fields that name the source, and the source."""
    if "sourceImage" in body and "sourceSnapshot" in body:
        raise errors.invalid(f"{where}.sourceSnapshot", body["sourceSnapshot"], "Two sources.")
    if "sourceDisk" in body:
        text = "localgce makes no clones of disks: take a snapshot or an image."
        raise errors.invalid(f"{where}.sourceDisk", body["sourceDisk"], text)
    if "sourceMachineImage" in body:
        return _saved(call, body, where)
    if "sourceImage" in body:
        image = image_at(call, body["sourceImage"], f"{where}.sourceImage")
        return {"sourceImage": image.link, "sourceImageId": image.id, **_inherit(image)}, image
    if "sourceSnapshot" in body:
        snapshot = call.at(call.link(body["sourceSnapshot"], f"{where}.sourceSnapshot"))
        if snapshot.kind != "snapshots":
            text = "The URL is malformed."
            raise errors.invalid(f"{where}.sourceSnapshot", body["sourceSnapshot"], text)
        fields = {"sourceSnapshot": snapshot.link, "sourceSnapshotId": snapshot.id}
        return {**fields, **_inherit(snapshot)}, snapshot
    return {}, None


def _saved(call: Call, body: Json, where: str) -> tuple[Json, Record]:
    link = call.link(body["sourceMachineImage"], f"{where}.sourceMachineImage")
    image = call.at(link)
    device = body.get("sourceMachineImageDiskDeviceName", "")
    if image.kind != "machineImages" or device not in image.private["layers"]:
        field = f"{where}.sourceMachineImageDiskDeviceName"
        raise errors.invalid(field, device, "There is no saved disk of that device name.")
    fields = {"sourceMachineImage": image.link, "sourceMachineImageId": image.id}
    return {**fields, "sourceMachineImageDiskDeviceName": device}, image


def _inherit(source: Record) -> Json:
    return {key: source.body[key] for key in _INHERITED if key in source.body}


def _size(body: Json, source: Record | None, where: str) -> int:
    least = int(source.body.get("diskSizeGb", 1)) if source else 1
    given: Any = body.get("sizeGb")
    size = int(given) if given is not None else (least if source else _DEFAULT_GB)
    field = f"{where}.{'sizeGb' if where == 'resource' else 'diskSizeGb'}"
    if size < 1 or size > _MAX_GB:
        raise errors.invalid(field, size, f"Disk size must be between 1 GB and {_MAX_GB} GB.")
    if size < least:
        text = f"Requested disk size cannot be smaller than the image size ({least} GB)"
        raise errors.invalid(field, size, text)
    return size


def _type(call: Call, body: Json, where: str) -> str:
    field = f"{where}.{'type' if where == 'resource' else 'diskType'}"
    default = f"{call.scope}/diskTypes/pd-standard"
    link = call.link(body.get("type", default), field)
    known = link.collection == "diskTypes" and link.name in catalog.disk_types()
    if not known or link.scope != call.scope:
        text = "The referenced diskType resource cannot be found."
        raise errors.invalid(field, body.get("type"), text)
    return links.url(f"projects/{call.project}/{call.scope}/diskTypes/{link.name}")
